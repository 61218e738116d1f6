//! Lua strings.

use std::borrow::Borrow;
use std::collections::hash_map::DefaultHasher;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use mlua::{Error, Lua, Result, String};

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_string_holds_any_bytes() -> Result<()> {
    let lua = Lua::new();
    for bytes in [&b""[..], b"text", b"a\0b", b"\xff\xfe", &[7; 100_000]] {
        let string = lua.create_string(bytes)?;
        assert_eq!(string.as_bytes(), bytes);
        let with_nul = string.as_bytes_with_nul();
        assert_eq!(with_nul.split_last(), Some((&0, bytes)));
    }
    Ok(())
}

#[test]
fn text_is_checked() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.create_string("é\0")?.to_str()?, "é\0");
    let string = lua.create_string(b"ab\xff")?;
    let error = string.to_str().unwrap_err();
    assert!(matches!(
        error,
        Error::FromLuaConversionError {
            from: "string",
            to: "&str",
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "error converting Lua string to &str (invalid utf-8 sequence of 1 bytes from index 2)"
    );
    assert_eq!(string.to_string_lossy(), "ab\u{fffd}");
    Ok(())
}

#[test]
fn strings_are_equal_if_their_bytes_are() -> Result<()> {
    let (lua, other) = (Lua::new(), Lua::new());
    let string = lua.create_string("text")?;
    assert_eq!(string, "text");
    assert_eq!(string, *b"text");
    assert_eq!(string, "text".to_owned());
    assert_eq!(string, vec![b't', b'e', b'x', b't']);
    assert_eq!(string, other.create_string("text")?);
    assert_ne!(string, lua.create_string("Text")?);
    let long = "x".repeat(1000);
    assert_eq!(lua.create_string(&long)?, lua.create_string(&long)?);
    Ok(())
}

#[test]
fn strings_hash_like_their_bytes() -> Result<()> {
    let lua = Lua::new();
    let string = lua.create_string("text")?;
    assert_eq!(hash(&string), hash(b"text".as_slice()));
    let bytes: &[u8] = string.borrow();
    assert_eq!(bytes, string.as_ref() as &[u8]);
    let set: HashSet<String> = HashSet::from([string]);
    assert!(set.contains(b"text".as_slice()));
    Ok(())
}

#[test]
fn debug_shows_text_or_escaped_bytes() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(format!("{:?}", lua.create_string("a\"\n")?), r#""a\"\n""#);
    let bytes = lua.create_string(b"a\xff\"\n\xc3\xa9\0\x01\x7f'\\")?;
    assert_eq!(format!("{bytes:?}"), r#"b"a\xff\"\n\xc3\xa9\0\x01\x7f'\\""#);
    Ok(())
}

#[test]
fn a_string_lives_as_long_as_its_proxy() -> Result<()> {
    let lua = Lua::new();
    let string = lua.create_string("x".repeat(100))?;
    let copy = string.clone();
    drop(string);
    lua.gc_collect()?;
    assert_eq!(copy.as_bytes(), [b'x'; 100]);
    Ok(())
}

#[test]
fn the_address_tells_strings_apart() -> Result<()> {
    let lua = Lua::new();
    let (a, b) = (lua.create_string("a")?, lua.create_string("b")?);
    assert_ne!(a.to_pointer(), b.to_pointer());
    assert_eq!(a.to_pointer(), a.clone().to_pointer());
    Ok(())
}
