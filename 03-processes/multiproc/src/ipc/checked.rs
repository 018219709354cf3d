//! `postcard`'s serializer, with checks of properties that the format does not record.
//!
//! A sequence is encoded as its length and its elements, and a structure as its fields alone. A
//! `Serialize` that announces one length and writes another, or that skips a field, gives bytes
//! that decode to another value or to none. Here it is an error of the encoding.

use postcard::ser_flavors::Flavor;
use postcard::{Error, Result};
use serde::{Serialize, Serializer, ser};

use crate::sys::reason;

/// A serializer around `postcard`'s.
pub(crate) struct Checked<'a, F: Flavor>(pub(crate) &'a mut postcard::Serializer<F>);

/// The elements or fields of a value, counted.
pub(crate) struct Parts<'a, F: Flavor> {
    to: &'a mut postcard::Serializer<F>,
    announced: usize,
    written: usize,
    /// Of a map, whose keys are counted by `written`.
    values: usize,
}

impl<'a, F: Flavor> Checked<'a, F> {
    #[inline]
    fn parts(self, announced: usize) -> Result<Parts<'a, F>> {
        Ok(Parts { to: self.0, announced, written: 0, values: 0 })
    }
}

impl<F: Flavor> Parts<'_, F> {
    #[inline]
    fn write<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.written += 1;
        value.serialize(Checked(self.to))
    }

    #[inline]
    fn finish(self) -> Result<()> {
        if self.written == self.announced { Ok(()) } else { Err(self.mismatch()) }
    }

    #[cold]
    fn mismatch(&self) -> Error {
        reason::leave(format!(
            "the value's `Serialize` announced {} elements and wrote {}",
            self.announced, self.written
        ));
        Error::SerdeSerCustom
    }
}

/// A field that `skip_serializing_if` leaves out.
#[cold]
fn skipped(field: &str) -> Error {
    reason::leave(format!(
        "the field `{field}` is skipped (`skip_serializing_if`): fields have no names in the \
         encoding, so none can be missing"
    ));
    Error::SerdeSerCustom
}

macro_rules! forward {
    ($($method:ident($type:ty))*) => {
        $(
            #[inline]
            fn $method(self, value: $type) -> Result<()> {
                self.0.$method(value)
            }
        )*
    };
}

impl<'a, F: Flavor> Serializer for Checked<'a, F> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'a, F>;
    type SerializeTuple = Parts<'a, F>;
    type SerializeTupleStruct = Parts<'a, F>;
    type SerializeTupleVariant = Parts<'a, F>;
    type SerializeMap = Parts<'a, F>;
    type SerializeStruct = Parts<'a, F>;
    type SerializeStructVariant = Parts<'a, F>;

    forward! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_i128(i128) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64) serialize_char(char)
        serialize_str(&str) serialize_bytes(&[u8])
        serialize_unit_struct(&'static str)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_none(self) -> Result<()> {
        self.0.serialize_none()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        // The byte that `postcard` puts before the value.
        self.0.serialize_u8(1)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<()> {
        self.0.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.0.serialize_unit_variant(name, index, variant)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Parts<'a, F>> {
        self.0.serialize_seq(len)?;
        self.parts(len.unwrap_or(0))
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Parts<'a, F>> {
        self.parts(len)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Parts<'a, F>> {
        self.parts(len)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Parts<'a, F>> {
        self.0.serialize_unit_variant(name, index, variant)?;
        self.parts(len)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Parts<'a, F>> {
        self.0.serialize_map(len)?;
        self.parts(len.unwrap_or(0))
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Parts<'a, F>> {
        self.parts(len)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Parts<'a, F>> {
        self.0.serialize_unit_variant(name, index, variant)?;
        self.parts(len)
    }

    /// Formatted once: `postcard` itself formats twice, and a `Display` may print another length
    /// the second time.
    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<()> {
        use std::fmt::Write;
        let mut text = String::new();
        write!(text, "{value}").map_err(|_| Error::CollectStrError)?;
        self.0.serialize_str(&text)
    }
}

macro_rules! counted {
    ($($trait:ident::$method:ident)*) => {
        $(
            impl<F: Flavor> ser::$trait for Parts<'_, F> {
                type Ok = ();
                type Error = Error;

                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                    self.write(value)
                }

                #[inline]
                fn end(self) -> Result<()> {
                    self.finish()
                }
            }
        )*
    };
}

counted! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

macro_rules! named {
    ($($trait:ident)*) => {
        $(
            impl<F: Flavor> ser::$trait for Parts<'_, F> {
                type Ok = ();
                type Error = Error;

                #[inline]
                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    _: &'static str,
                    value: &T,
                ) -> Result<()> {
                    self.write(value)
                }

                fn skip_field(&mut self, key: &'static str) -> Result<()> {
                    Err(skipped(key))
                }

                #[inline]
                fn end(self) -> Result<()> {
                    self.finish()
                }
            }
        )*
    };
}

named! { SerializeStruct SerializeStructVariant }

impl<F: Flavor> ser::SerializeMap for Parts<'_, F> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.write(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.values += 1;
        value.serialize(Checked(self.to))
    }

    #[inline]
    fn end(self) -> Result<()> {
        if self.values == self.written { self.finish() } else { Err(self.mismatch()) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::fmt;

    use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
    use serde::{Deserialize, Serialize, Serializer};

    use crate::ipc::codec;
    use crate::ipc::error::EncodeError;

    fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        codec::encode(value, &mut bytes).map(|()| bytes)
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Every {
        Unit,
        New(i8),
        Tuple(u16, i32, Option<char>),
        Struct { text: String, pair: (f32, f64), map: BTreeMap<i64, bool>, list: Vec<u128> },
    }

    #[test]
    fn the_bytes_are_postcards() {
        let map = BTreeMap::from([(-5, true), (700, false)]);
        let list = vec![0, 1, u128::MAX];
        let values = vec![
            Every::Unit,
            Every::New(-3),
            Every::Tuple(65_535, -70_000, Some('ß')),
            Every::Tuple(1, 2, None),
            Every::Struct { text: "text".to_owned(), pair: (1.5, -2.5), map, list },
        ];
        let value = (values, [7u64; 3], (), std::net::Ipv6Addr::LOCALHOST, i128::MIN);
        let bytes = encoded(&value).unwrap();
        assert_eq!(bytes, postcard::to_stdvec(&value).unwrap());
        assert_eq!(codec::decode(&bytes), Ok(value));
    }

    /// Announces one length and writes another, in each way there is.
    struct Liar {
        kind: &'static str,
        announced: usize,
        written: usize,
    }

    impl Serialize for Liar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.kind {
                "sequence" => {
                    let mut parts = serializer.serialize_seq(Some(self.announced))?;
                    (0..self.written).try_for_each(|n| parts.serialize_element(&(n as u8)))?;
                    parts.end()
                }
                "tuple" => {
                    let mut parts = serializer.serialize_tuple(self.announced)?;
                    (0..self.written).try_for_each(|n| parts.serialize_element(&(n as u8)))?;
                    parts.end()
                }
                "map" => {
                    let mut parts = serializer.serialize_map(Some(self.announced))?;
                    (0..self.written).try_for_each(|n| parts.serialize_entry(&(n as u8), &0u8))?;
                    parts.end()
                }
                "keys" => {
                    let mut parts = serializer.serialize_map(Some(self.announced))?;
                    (0..self.announced).try_for_each(|n| parts.serialize_key(&(n as u8)))?;
                    (0..self.written).try_for_each(|n| parts.serialize_value(&(n as u8)))?;
                    parts.end()
                }
                _ => {
                    let mut parts = serializer.serialize_struct("Liar", self.announced)?;
                    (0..self.written).try_for_each(|n| parts.serialize_field("n", &(n as u8)))?;
                    parts.end()
                }
            }
        }
    }

    #[test]
    fn a_wrong_length_is_an_error_wherever_it_is() {
        for kind in ["sequence", "tuple", "map", "keys", "struct"] {
            for (announced, written) in [(1, 2), (2, 1), (0, 1), (1, 0)] {
                let liar = Liar { kind, announced, written };
                let error = encoded(&liar).unwrap_err();
                assert!(error.reason().contains("announced"), "{kind}: {error}");
                // What follows would make up for it: two bytes too few here, two more there.
                assert!(encoded(&vec![(Some(&liar), vec![1u8, 3])]).is_err(), "{kind}");
            }
            assert!(encoded(&Liar { kind, announced: 2, written: 2 }).is_ok(), "{kind}");
        }
    }

    #[test]
    fn a_skipped_field_is_an_error() {
        #[derive(Serialize)]
        struct Skipping {
            #[serde(skip_serializing_if = "Option::is_none")]
            first: Option<u8>,
            #[serde(skip)]
            _never_there: u8,
            second: u8,
        }
        let value = |first| Skipping { first, _never_there: 1, second: 2 };
        assert_eq!(encoded(&value(Some(1))).unwrap(), [1, 1, 2]);
        assert!(encoded(&value(None)).unwrap_err().reason().contains("`first`"));
    }

    #[test]
    fn a_text_is_formatted_once() {
        struct Growing(Cell<usize>);
        impl fmt::Display for Growing {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.set(self.0.get() + 1);
                f.write_str(&"x".repeat(self.0.get()))
            }
        }
        impl Serialize for Growing {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        let bytes = encoded(&Growing(Cell::new(0))).unwrap();
        assert_eq!(codec::decode::<String>(&bytes).unwrap(), "x");
    }
}
