//! Deserialisers that check a declared count or length before they take memory.
//!
//! Used as `#[serde(deserialize_with = "bounded::list::<_, _, MAX>")]`. They never truncate: over
//! the bound is an error.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A list of at most `MAX` elements.
pub(crate) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} elements")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let declared = seq.size_hint().unwrap_or(0);
            if declared > MAX {
                return Err(A::Error::invalid_length(declared, &self));
            }
            let mut out = Vec::with_capacity(declared);
            while let Some(element) = seq.next_element()? {
                if out.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                out.push(element);
            }
            Ok(out)
        }
    }
    deserializer.deserialize_seq(List::<T, MAX>(PhantomData))
}

/// A text of at most `MAX` bytes without NUL, which no runtime can carry.
pub(crate) fn text<'de, D, const MAX: usize>(deserializer: D) -> Result<String, D::Error>
where
    D: Deserializer<'de>,
{
    struct Text<const MAX: usize>;
    impl<const MAX: usize> Visitor<'_> for Text<MAX> {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a text of at most {MAX} bytes without NUL")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            if text.len() > MAX || text.contains('\0') {
                return Err(E::invalid_length(text.len(), &self));
            }
            Ok(text.into())
        }
    }
    deserializer.deserialize_str(Text::<MAX>)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    struct Few(#[serde(deserialize_with = "super::list::<_, _, 3>")] alloc::vec::Vec<u8>);
    #[derive(Deserialize, Debug)]
    struct Short(#[serde(deserialize_with = "super::text::<_, 3>")] alloc::string::String);

    #[test]
    fn over_the_bound_is_an_error() {
        assert_eq!(
            postcard::from_bytes::<Few>(&[3, 1, 2, 3]).unwrap().0,
            [1, 2, 3]
        );
        assert!(postcard::from_bytes::<Few>(&[4, 1, 2, 3, 4]).is_err());
        assert_eq!(postcard::from_bytes::<Short>(b"\x03abc").unwrap().0, "abc");
        assert!(postcard::from_bytes::<Short>(b"\x04abcd").is_err());
        assert!(postcard::from_bytes::<Short>(b"\x01\0").is_err());
    }
}
