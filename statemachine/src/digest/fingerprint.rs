//! The hash of a stored shape: serde walks it, each value is fed to the hasher.
//!
//! Variants count by their number and fields by their order, so it is as frozen as the shapes themselves.

use core::fmt;

use serde::ser::{self, Serialize};

use super::Hasher;

/// The hash of a stored shape.
pub(crate) fn fingerprint<T: Serialize + ?Sized>(value: &T) -> u64 {
    let mut hasher = Hasher::new();
    // Stored shapes hold nothing that the hasher refuses; were it otherwise, all servers would hash the same prefix.
    if value.serialize(&mut hasher).is_err() {
        hasher.word(u64::MAX);
    }
    hasher.finish()
}

/// What serde demands of a serializer's error; nothing here raises it.
#[derive(Debug)]
pub(crate) struct Unhashable;

impl fmt::Display for Unhashable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this shape can't be hashed")
    }
}

impl ser::Error for Unhashable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl ser::StdError for Unhashable {}

type Fed = Result<(), Unhashable>;

macro_rules! unsigned {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Fed {
            self.word(u64::from(value));
            Ok(())
        }
    )*};
}

macro_rules! signed {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Fed {
            self.word(i64::from(value).cast_unsigned());
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for &'a mut Hasher {
    type Ok = ();
    type Error = Unhashable;
    type SerializeSeq = &'a mut Hasher;
    type SerializeTuple = &'a mut Hasher;
    type SerializeTupleStruct = &'a mut Hasher;
    type SerializeTupleVariant = &'a mut Hasher;
    type SerializeMap = &'a mut Hasher;
    type SerializeStruct = &'a mut Hasher;
    type SerializeStructVariant = &'a mut Hasher;

    unsigned!(serialize_bool: bool, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_char: char);
    signed!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);

    #[allow(
        clippy::disallowed_types,
        reason = "serde names the type; no stored shape has a float"
    )]
    fn serialize_f32(self, _: f32) -> Fed {
        Err(Unhashable)
    }
    #[allow(
        clippy::disallowed_types,
        reason = "serde names the type; no stored shape has a float"
    )]
    fn serialize_f64(self, _: f64) -> Fed {
        Err(Unhashable)
    }
    fn serialize_str(self, value: &str) -> Fed {
        self.bytes(value.as_bytes());
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Fed {
        self.bytes(value);
        Ok(())
    }
    fn serialize_none(self) -> Fed {
        self.word(0);
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Fed {
        self.word(1);
        value.serialize(self)
    }
    fn serialize_unit(self) -> Fed {
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Fed {
        Ok(())
    }
    fn serialize_unit_variant(self, _: &'static str, variant: u32, _: &'static str) -> Fed {
        self.word(u64::from(variant));
        Ok(())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Fed {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        value: &T,
    ) -> Fed {
        self.word(u64::from(variant));
        value.serialize(self)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Unhashable> {
        self.word(len.and_then(|len| u64::try_from(len).ok()).unwrap_or(u64::MAX));
        Ok(self)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self, Unhashable> {
        Ok(self)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Unhashable> {
        Ok(self)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unhashable> {
        self.word(u64::from(variant));
        Ok(self)
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Self, Unhashable> {
        self.serialize_seq(len)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unhashable> {
        Ok(self)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unhashable> {
        self.word(u64::from(variant));
        Ok(self)
    }
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Fed {
        use alloc::string::ToString;
        self.bytes(value.to_string().as_bytes());
        Ok(())
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident),*) => {$(
        impl ser::$trait for &mut Hasher {
            type Ok = ();
            type Error = Unhashable;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Fed {
                value.serialize(&mut **self)
            }
            fn end(self) -> Fed {
                Ok(())
            }
        }
    )*};
}
parts!(SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field);

impl ser::SerializeMap for &mut Hasher {
    type Ok = ();
    type Error = Unhashable;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Fed {
        key.serialize(&mut **self)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Fed {
        value.serialize(&mut **self)
    }
    fn end(self) -> Fed {
        Ok(())
    }
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for &mut Hasher {
            type Ok = ();
            type Error = Unhashable;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Fed {
                value.serialize(&mut **self)
            }
            fn end(self) -> Fed {
                Ok(())
            }
        }
    )*};
}
fields!(SerializeStruct, SerializeStructVariant);
