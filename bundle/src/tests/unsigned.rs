//! A bundle checked in all but its signatures: everything else is asked as [`crate::verify()`] asks.

use super::base::*;
use crate::build::UnsignedBundle;
use crate::{Depth, Refused, read_head, verify};

fn check_file(file: &[u8]) -> Result<UnsignedBundle, Refused> {
    let bundle = UnsignedBundle::check(&read_head(&mut &file[..])?)?;
    bundle.verify_payload(&file, Depth::Plain, &mut |_| {})?;
    Ok(bundle)
}

#[test]
fn what_a_device_verifies_is_the_same_without_its_keys() {
    let file = sample_file();
    let verified = verify(read_head(&mut &file[..]).unwrap(), &trust()).unwrap();
    let unsigned = check_file(&file).unwrap();
    assert_eq!(unsigned.manifest(), verified.manifest());
    assert_eq!(unsigned.digest(), verified.digest());
    assert_eq!(unsigned.keys(), verified.signers());
}

#[test]
fn only_the_signature_is_not_asked() {
    let bytes = postcard::to_allocvec(&sample()).unwrap();
    let mut foreign = sign(&bytes, &[&other_key()]);
    foreign.extend(CONTENTS.concat());
    assert!(check_file(&foreign).is_ok());

    let clause = |file: &[u8]| check_file(file).unwrap_err().clause();
    assert_eq!(clause(&sign(&bytes, &[])), "B4", "a draft");
    let mut unsound = sample();
    unsound.blobs[1].offset += 1;
    assert_eq!(clause(&signed(&unsound)), "B21", "a rule between fields");
    let mut longer = sample_file();
    longer.push(0);
    assert_eq!(clause(&longer), "B70");
    let mut damaged = sample_file();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(["B71", "B72"].contains(&clause(&damaged)));
}
