//! The protocol over real sockets, with a scripted handler.

use std::cell::{Cell, RefCell};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;

use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, unbounded};

use super::*;
use crate::api::{Progress, Step};

/// Does by the kind of request what a test needs.
struct Scripted {
    /// Requests in their order.
    seen: RefCell<Vec<Request>>,
    /// Is told when a wait ends before its answer.
    dropped: Sender<()>,
    /// Lines of logs so far.
    produced: Cell<u32>,
    /// Requests that are being waited on.
    waiting: Cell<usize>,
}

struct Waiting<'a>(&'a Scripted);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
        self.0.dropped.try_send(()).unwrap();
    }
}

fn log_update(text: String) -> Update {
    Update::Log {
        service: "s".into(),
        stream: "stdout".into(),
        at: String::new(),
        text,
    }
}

impl Handler for Scripted {
    async fn handle(&self, request: Request, updates: &dyn Fn(Update)) -> Result<Reply, Failure> {
        self.seen.borrow_mut().push(request.clone());
        match request {
            Request::Ps => Ok(Reply::Containers(vec![])),
            Request::Apply { bundle } => {
                for done in 0..3 {
                    let what = bundle.display().to_string();
                    updates(Update::Progress(Progress {
                        step: Step::Stage,
                        what,
                        done,
                        total: 3,
                    }));
                    smol::future::yield_now().await;
                }
                Err(Failure {
                    code: 20,
                    message: "rolled back".into(),
                    hint: String::new(),
                })
            }
            // So many lines, each of a kilobyte: a hundred at a time, or in one burst.
            Request::Logs {
                tail: Some(lines),
                follow: burst,
                ..
            } => {
                for line in 0..lines {
                    updates(log_update(format!("{line:01024}")));
                    self.produced.set(line + 1);
                    if line % 100 == 99 && !burst {
                        smol::future::yield_now().await;
                    }
                }
                Ok(Reply::Done)
            }
            Request::Remove { app } => {
                updates(log_update("x".repeat(LINE_BYTES_MAX)));
                updates(log_update(app));
                Ok(Reply::Done)
            }
            _ => {
                self.waiting.set(self.waiting.get() + 1);
                let _waiting = Waiting(self);
                std::future::pending().await
            }
        }
    }
}

struct Daemon {
    _folder: tempfile::TempDir,
    path: PathBuf,
    handler: Rc<Scripted>,
    dropped: Receiver<()>,
    executor: Rc<LocalExecutor<'static>>,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/agent.sock");
        let (sender, dropped) = unbounded();
        let handler = Rc::new(Scripted {
            seen: RefCell::default(),
            dropped: sender,
            produced: Cell::new(0),
            waiting: Cell::new(0),
        });
        let executor = Rc::new(LocalExecutor::new());
        let server = Server::bind(&path).unwrap();
        let (serving, tasks) = (handler.clone(), executor.clone());
        executor
            .spawn(async move { server.serve(serving, &tasks).await })
            .detach();
        Self {
            _folder: folder,
            path,
            handler,
            dropped,
            executor,
        }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        smol::block_on(self.executor.run(future))
    }

    fn client(&self) -> Client {
        Client::connect(&self.path).unwrap().unwrap()
    }

    /// Sends bytes as they are, while the daemon runs, and returns all that comes back.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        let bytes = bytes.to_vec();
        self.run(smol::unblock(move || {
            // The daemon may close before all of it is taken.
            let _ = stream.write_all(&bytes);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        }))
    }
}

fn logs(tail: u32) -> Request {
    Request::Logs {
        app: None,
        service: None,
        tail: Some(tail),
        since: None,
        follow: false,
    }
}

#[test]
fn a_request_gets_its_reply() {
    let daemon = Daemon::start();
    let reply = daemon.run(daemon.client().ask(Request::Ps, &|_| panic!("no updates")));
    assert_eq!(reply, Ok(Reply::Containers(vec![])));
    assert_eq!(*daemon.handler.seen.borrow(), [Request::Ps]);
}

#[test]
fn updates_come_in_order_before_the_failure() {
    let daemon = Daemon::start();
    let seen = RefCell::new(Vec::new());
    let request = Request::Apply {
        bundle: "/b".into(),
    };
    let answer = daemon.run(daemon.client().ask(request, &|update| {
        let Update::Progress(progress) = update else {
            panic!("not progress")
        };
        seen.borrow_mut().push(progress.done);
    }));
    assert_eq!(answer.unwrap_err().code, 20);
    assert_eq!(seen.take(), [0, 1, 2]);
}

#[test]
fn the_lines_are_as_documented() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.raw(b"{\"request\":\"ps\"}\n"),
        "{\"reply\":{\"containers\":[]}}\n"
    );
    assert_eq!(
        daemon
            .raw(b"{\"request\":{\"apply\":{\"bundle\":\"/b\"}}}\n")
            .lines()
            .last()
            .unwrap(),
        "{\"failure\":{\"code\":20,\"message\":\"rolled back\",\"hint\":\"\"}}"
    );
}

#[test]
fn what_is_not_a_request_is_refused_and_reaches_nobody() {
    let daemon = Daemon::start();
    for bad in [
        "\n",
        "{}\n",
        "{\"request\":\"dance\"}\n",
        "\u{0}\n",
        "{\"reply\":\"done\"}\n",
    ] {
        let answer = daemon.raw(bad.as_bytes());
        assert!(
            answer.starts_with("{\"failure\":{\"code\":1,"),
            "{bad:?}: {answer}"
        );
    }
    let endless = vec![b'x'; LINE_BYTES_MAX + (64 << 10)];
    let answer = daemon.raw(&endless);
    assert!(answer.is_empty() || answer.contains("too long"), "{answer}");
    assert!(daemon.handler.seen.borrow().is_empty());
}

#[test]
fn a_client_that_goes_away_stops_its_own_wait_only() {
    let daemon = Daemon::start();
    daemon.run(async {
        let stays = daemon
            .executor
            .spawn(daemon.client().ask(Request::Doctor, &|_| {}));
        let leaves = daemon
            .executor
            .spawn(daemon.client().ask(Request::Doctor, &|_| {}));
        while daemon.handler.waiting.get() < 2 {
            smol::future::yield_now().await;
        }
        drop(leaves);
        daemon.dropped.recv().await.unwrap();
        assert_eq!(daemon.handler.waiting.get(), 1);
        assert_eq!(
            daemon.client().ask(Request::Ps, &|_| {}).await,
            Ok(Reply::Containers(vec![]))
        );
        drop(stays);
        daemon.dropped.recv().await.unwrap();
    });
}

#[test]
fn a_slow_reader_gets_every_line() {
    const LINES: u32 = 20_000;
    let daemon = Daemon::start();
    let count = Cell::new(0);
    let reply = daemon.run(daemon.client().ask(logs(LINES), &|update| {
        let Update::Log { text, .. } = update else {
            panic!("not a line")
        };
        assert_eq!(text.parse::<u32>().unwrap(), count.get());
        count.set(count.get() + 1);
    }));
    assert_eq!((reply, count.get()), (Ok(Reply::Done), LINES));
}

#[test]
fn a_client_that_does_not_read_pauses_its_request() {
    let daemon = Daemon::start();
    let mut stuck = UnixStream::connect(&daemon.path).unwrap();
    let request = FromClient::Request(logs(1_000_000));
    stuck.write_all(&line(&request).unwrap()).unwrap();
    // Others are served while a gigabyte waits to be read.
    for _ in 0..50 {
        let reply = daemon.run(daemon.client().ask(Request::Ps, &|_| {}));
        assert_eq!(reply, Ok(Reply::Containers(vec![])));
    }
    let produced = daemon.handler.produced.get();
    assert!(
        (100..2_000).contains(&produced),
        "{produced} lines of a million"
    );
    let mut first = String::new();
    BufReader::new(&stuck).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"update\":{\"log\":"), "{first}");
}

#[test]
fn a_burst_is_bounded_and_says_what_it_left_out() {
    let daemon = Daemon::start();
    let (lines, notes) = (Cell::new(0), RefCell::new(Vec::new()));
    let request = Request::Logs {
        app: None,
        service: None,
        tail: Some(20_000),
        since: None,
        follow: true,
    };
    let reply = daemon.run(daemon.client().ask(request, &|update| match update {
        Update::Log { service, text, .. } if service.is_empty() => notes.borrow_mut().push(text),
        _ => lines.set(lines.get() + 1),
    }));
    assert_eq!(reply, Ok(Reply::Done));
    assert!((7_000..9_000).contains(&lines.get()), "{}", lines.get());
    let left_out = 20_000 - lines.get();
    let note = format!("{left_out} lines left out: they came faster than they were read");
    assert_eq!(notes.take(), [note]);
}

#[test]
fn a_line_that_is_too_long_is_left_out() {
    let daemon = Daemon::start();
    let seen = RefCell::new(Vec::new());
    let request = Request::Remove {
        app: "kiosk".into(),
    };
    let reply = daemon.run(
        daemon
            .client()
            .ask(request, &|update| seen.borrow_mut().push(update)),
    );
    assert_eq!(reply, Ok(Reply::Done));
    assert_eq!(seen.take(), [log_update("kiosk".into())]);
}

#[test]
fn more_connections_than_allowed_are_told_so() {
    let daemon = Daemon::start();
    daemon.run(async {
        let waits: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| {
                daemon
                    .executor
                    .spawn(daemon.client().ask(Request::Doctor, &|_| {}))
            })
            .collect();
        while daemon.handler.waiting.get() < CONNECTIONS_MAX {
            smol::future::yield_now().await;
        }
        let failure = daemon.client().ask(Request::Ps, &|_| {}).await.unwrap_err();
        assert_eq!(failure.message, "too many requests at a time");
        drop(waits);
        for _ in 0..CONNECTIONS_MAX {
            daemon.dropped.recv().await.unwrap();
        }
    });
    let reply = daemon.run(async {
        // The places become free in the turn after the waits ended.
        loop {
            match daemon.client().ask(Request::Ps, &|_| {}).await {
                Err(failure) if failure.message == "too many requests at a time" => {}
                other => return other,
            }
        }
    });
    assert_eq!(reply, Ok(Reply::Containers(vec![])));
}

#[test]
fn a_daemon_that_dies_in_the_middle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let dying = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        stream
            .write_all(b"{\"update\":{\"progress\":{\"step\":\"stage\",")
            .unwrap();
    });
    let client = Client::connect(&path).unwrap().unwrap();
    let failure = smol::block_on(client.ask(Request::Ps, &|_| {})).unwrap_err();
    dying.join().unwrap();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (1, "the agent ended before it answered")
    );
    assert!(failure.hint.contains("agent status"));
    assert!(
        Client::connect(&path).unwrap().is_none(),
        "nobody listens any more"
    );
}

#[test]
fn the_socket_is_private_and_a_stale_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/agent.sock");
    let server = smol::block_on(async { Server::bind(&path) }).unwrap();
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let folder_mode = std::fs::metadata(path.parent().unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(folder_mode & 0o777, 0o755);
    assert!(matches!(Server::bind(&path), Err(ControlError::InUse(_))));
    drop(server);
    assert!(!path.exists(), "a clean end removes it");

    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a killed daemon leaves it");
    drop(Server::bind(&path).unwrap());

    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(
        Server::bind(&path),
        Err(ControlError::NotASocket(_))
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}
