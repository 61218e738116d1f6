//! Rust structs to Lua tables and back with serde, and Lua values to JSON.

use mlua::{DeserializeOptions, FromLua, Lua, LuaSerdeExt, Result, SerializeOptions, Table, Value};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Recipe {
    name: String,
    serves: u32,
    note: Option<String>,
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Step {
    Rest,
    Stir { minutes: u32 },
    Bake(u32),
}

fn main() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("null", lua.null())?;
    // Tells an empty list from an empty map.
    lua.globals().set("array", lua.array_metatable())?;

    let recipe = lua_to_rust(&lua)?;
    rust_to_lua(&lua, &recipe)?;
    lua_to_json(&lua)?;
    refuse_what_does_not_fit(&lua)
}

fn lua_to_rust(lua: &Lua) -> Result<Recipe> {
    let table = lua.load(
        r#"{
            name = "scones",
            serves = 8,
            steps = { { Stir = { minutes = 2 } }, "Rest", { Bake = 12 } },
        }"#,
    );
    let recipe: Recipe = lua.from_value(table.eval()?)?;
    println!("{recipe:?}");
    assert_eq!(recipe.note, None);
    assert_eq!(recipe.steps[2], Step::Bake(12));
    Ok(recipe)
}

fn rust_to_lua(lua: &Lua, recipe: &Recipe) -> Result<()> {
    lua.globals().set("recipe", lua.to_value(recipe)?)?;
    lua.load(
        r#"
        assert(recipe.serves == 8)
        assert(recipe.steps[1].Stir.minutes == 2)
        -- `None` is the value `null`, so that the field is there.
        assert(recipe.note == null and recipe.note ~= nil)
        recipe.serves, recipe.note = recipe.serves * 2, "with jam"
        "#,
    )
    .exec()?;
    let changed: Recipe = lua.from_value(lua.globals().get("recipe")?)?;
    assert_eq!(
        (changed.serves, changed.note.as_deref()),
        (16, Some("with jam"))
    );

    // Plain tables, without `null` and without the metatable of lists, if that is what the script wants.
    let plain = SerializeOptions::new()
        .serialize_none_to_null(false)
        .set_array_metatable(false);
    let table = Table::from_lua(lua.to_value_with(recipe, plain)?, lua)?;
    assert!(!table.contains_key("note")?);
    Ok(())
}

/// A `Value` can be serialised itself, to any format.
fn lua_to_json(lua: &Lua) -> Result<()> {
    let value: Value = lua
        .load(
            "{ empty = {}, list = setmetatable({}, array), nothing = null, numbers = { 1, 2.5 } }",
        )
        .eval()?;
    let sorted = value.to_serializable().sort_keys(true);
    let json = serde_json::to_string(&sorted).map_err(mlua::Error::external)?;
    println!("{json}");
    assert_eq!(
        json,
        r#"{"empty":{},"list":[],"nothing":null,"numbers":[1,2.5]}"#
    );

    let back: serde_json::Value = lua.from_value(value)?;
    assert_eq!(back["numbers"][0], 1);
    Ok(())
}

fn refuse_what_does_not_fit(lua: &Lua) -> Result<()> {
    let table = lua.load("{ name = 'air', serves = 'everyone', steps = {} }");
    let error = lua.from_value::<Recipe>(table.eval()?).unwrap_err();
    println!("{error}");

    // JSON has no functions: an error, or left out.
    let table: Value = lua.load("{ f = print, n = 1 }").eval()?;
    assert!(lua.from_value::<serde_json::Value>(table.clone()).is_err());
    let lenient = DeserializeOptions::new().deny_unsupported_types(false);
    let json: serde_json::Value = lua.from_value_with(table, lenient)?;
    println!("{json}");
    Ok(())
}
