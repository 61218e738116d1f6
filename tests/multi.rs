//! Any number of values: `MultiValue`, `Variadic`, tuples, results.

use mlua::{Function, Lua, MultiValue, Nil, Result, Value, Variadic};

fn three<'lua>() -> MultiValue<'lua> {
    MultiValue::from_vec(vec![Value::Integer(1), Nil, Value::Boolean(true)])
}

#[test]
fn a_multi_value_is_a_list_in_order() {
    let mut values = three();
    assert_eq!(values.len(), 3);
    assert_eq!(values.get(0), Some(&Value::Integer(1)));
    assert_eq!(values.get(3), None);
    assert_eq!(values.get(usize::MAX), None);
    assert_eq!(values[2], Value::Boolean(true));
    assert_eq!(
        Vec::from_iter(&values),
        [&Value::Integer(1), &Nil, &Value::Boolean(true)]
    );
    assert_eq!(
        Vec::from_iter(values.iter().rev()),
        [&Value::Boolean(true), &Nil, &Value::Integer(1)]
    );
    assert_eq!(Vec::from_iter(values.clone()), values.clone().into_vec());
    assert_eq!(values.pop_front(), Some(Value::Integer(1)));
    values.push_front(Value::Integer(0));
    assert_eq!(values.iter().next(), Some(&Value::Integer(0)));
    values.clear();
    assert!(values.is_empty());
    assert!(MultiValue::new().is_empty() && MultiValue::default().is_empty());
    let collected: MultiValue = [Nil, Value::Integer(2)].into_iter().collect();
    assert_eq!(collected[1], Value::Integer(2));
}

#[test]
#[should_panic(expected = "index out of bounds: the len is 3 but the index is 3")]
fn an_index_out_of_bounds_panics() {
    let _ = &three()[3];
}

#[test]
fn debug_shows_the_values_in_order() {
    assert_eq!(
        format!("{:?}", three()),
        "MultiValue([Integer(1), Nil, Boolean(true)])"
    );
}

#[test]
fn a_multi_value_goes_through_a_call() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let back: MultiValue = same.call(three())?;
    assert_eq!(back.into_vec(), three().into_vec());
    let (first, rest): (i32, MultiValue) = same.call(three())?;
    assert_eq!((first, rest.len()), (1, 2));
    let many: MultiValue = (0..5000).map(Value::Integer).collect();
    assert_eq!(same.call::<_, MultiValue>(many)?.len(), 5000);
    Ok(())
}

#[test]
fn variadic_is_a_vec() {
    let mut numbers = Variadic::new();
    numbers.push(1);
    numbers.extend([2, 3]);
    assert_eq!(*numbers, [1, 2, 3]);
    assert_eq!(format!("{numbers:?}"), "Variadic([1, 2, 3])");
    assert_eq!(Vec::from_iter(numbers), [1, 2, 3]);
    assert!(Variadic::<String>::default().is_empty());
    let collected: Variadic<i32> = (1..3).collect();
    assert_eq!(collected.len(), 2);
}

#[test]
fn variadic_takes_what_is_left() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let (first, rest): (i32, Variadic<String>) = same.call((1, Variadic::from_iter([2, 3])))?;
    assert_eq!(
        (first, &rest[..]),
        (1, &["2".to_owned(), "3".to_owned()][..])
    );
    let (first, rest): (Option<i32>, Variadic<i32>) = same.call(())?;
    assert!(first.is_none() && rest.is_empty());
    assert!(same.call::<_, Variadic<i32>>((1, "x")).is_err());
    let many = same.call::<_, Variadic<i32>>(Variadic::from_iter(0..5000))?;
    assert_eq!(Vec::from_iter(many), Vec::from_iter(0..5000));
    let packed = lua.pack_multi((1, Variadic::from_iter([2, 3])))?;
    let unpacked: (i32, Variadic<i32>) = lua.unpack_multi(packed)?;
    assert_eq!(*unpacked.1, [2, 3]);
    Ok(())
}

#[test]
fn a_variadic_argument_that_fails_is_not_numbered() -> Result<()> {
    let lua = Lua::new();
    let f = lua.create_function(|_, _: (i32, Variadic<i32>)| Ok(()))?;
    let error = f.call::<_, ()>((1, 2, "x")).unwrap_err().to_string();
    assert!(
        error.starts_with("error converting Lua string to i32"),
        "{error}"
    );
    Ok(())
}

#[test]
fn too_many_values_are_an_error() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let many = Variadic::from_iter(0..2_000_000);
    assert!(same.call::<_, ()>(many).is_err());
    let many: MultiValue = (0..2_000_000).map(Value::Integer).collect();
    assert!(same.call::<_, ()>(many).is_err());
    assert_eq!(same.call::<_, i32>(1)?, 1);
    Ok(())
}

#[test]
fn results_become_values_or_nil_and_the_error() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let values = |values: MultiValue<'_>| format!("{values:?}");
    let direct = |result| same.call::<std::result::Result<i32, &str>, _>(result);
    assert_eq!(values(direct(Ok(5))?), "MultiValue([Integer(5)])");
    assert_eq!(
        values(direct(Err("e"))?),
        "MultiValue([Nil, String(\"e\")])"
    );
    let unit = |result| same.call::<std::result::Result<(), i32>, _>(result);
    assert_eq!(values(unit(Ok(()))?), "MultiValue([])");
    assert_eq!(values(unit(Err(3))?), "MultiValue([Nil, Integer(3)])");
    let packed = lua.pack_multi(Err::<i32, _>("e"))?;
    assert_eq!(values(packed), "MultiValue([Nil, String(\"e\")])");
    assert_eq!(values(lua.pack_multi(Ok::<(), i32>(()))?), "MultiValue([])");
    Ok(())
}
