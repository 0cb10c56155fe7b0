//! One contract for every runtime: the scripted fake and a real podman pass the same cases.
//!
//! What happens inside of containers (`inside`) is for real runtimes only. A runtime that is not
//! installed is reported as "not run", on the terminal, whatever the test harness captures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says no with a panic

#[path = "contract/cases.rs"]
mod cases;
#[path = "contract/fake.rs"]
mod fake_fixture;
#[path = "contract/fixture.rs"]
mod fixture;
#[path = "contract/inside.rs"]
mod inside;
#[path = "contract/podman.rs"]
mod podman_fixture;
#[path = "contract/streams.rs"]
mod streams;

macro_rules! suite {
    ($name:ident, $run:path, $($module:ident :: { $($case:ident),* $(,)? })*) => {
        mod $name {
            $($(
                #[test]
                fn $case() {
                    $run(stringify!($case), |fixture| {
                        smol::block_on(crate::fixture::in_time(crate::$module::$case(fixture)));
                    });
                }
            )*)*
        }
    };
}

macro_rules! for_every_runtime {
    ($name:ident, $run:path) => {
        suite! { $name, $run,
            cases::{
                says_what_it_is, imports_move_only_missing_layers,
                bad_content_is_rejected_and_the_next_import_works, creating_again_gives_the_same,
                another_container_of_the_name_is_a_conflict, creating_needs_the_image,
                start_stop_remove_can_be_repeated, exit_codes_are_told,
                what_ignores_its_stop_signal_is_killed, what_takes_too_much_memory_is_killed,
                waiting_ends_when_the_container_does, waiting_needs_a_container_that_ran,
                an_exited_container_starts_again, others_containers_are_not_listed,
                networks_can_be_repeated, volumes_can_be_repeated,
                an_image_in_use_is_not_removed, looking_finds_exactly_what_is_asked,
                a_taken_port_is_a_conflict,
            }
            streams::{
                logs_tell_both_streams, logs_follow_to_the_end, logs_can_be_limited,
                events_tell_of_our_containers, stats_of_what_runs, exec_gives_code_and_output,
                exec_needs_a_running_container, exec_that_takes_too_long_is_told,
            }
        }
    };
}

for_every_runtime!(fake, crate::fake_fixture::with);
for_every_runtime!(podman, crate::podman_fixture::with);

suite! { podman_inside, crate::podman_fixture::with,
    inside::{
        names_resolve_on_a_network, a_published_port_answers, a_volume_keeps_its_content,
        files_are_read_only_with_their_mode, the_process_is_as_described,
        the_file_system_is_as_described, limits_hold, privileges_are_as_described,
        output_of_commands_is_bounded, a_command_that_takes_too_long_is_killed,
        what_the_image_says_holds_unless_replaced,
    }
}

suite! { podman_down, crate::podman_fixture::with_service,
    podman_fixture::{
        nothing_at_the_socket_is_unreachable, a_service_killed_in_the_middle_can_be_asked_again,
        waiting_survives_the_service,
        a_killed_import_is_done_again,
    }
}
