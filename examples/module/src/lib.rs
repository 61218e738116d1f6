//! A Lua module that counts words: `local tally = require "tally"`.

use std::collections::HashMap;

use mlua::prelude::*;
use mlua::OwnedFunction;

#[derive(Default)]
struct Tally {
    counts: HashMap<String, u64>,
    /// Called with each word that is new. The handle does not keep the Lua open that owns this very tally.
    on_new: Option<OwnedFunction>,
}

impl Tally {
    fn add(&mut self, text: &str) -> LuaResult<()> {
        for word in text.split_whitespace() {
            let count = self.counts.entry(word.to_lowercase()).or_insert(0);
            *count += 1;
            if let (1, Some(on_new)) = (*count, &self.on_new) {
                on_new.call::<_, ()>(word)?;
            }
        }
        Ok(())
    }

    /// The `n` most frequent words, each with its count.
    fn top(&self, n: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.counts.iter().map(|(word, n)| (&**word, *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(n);
        all
    }
}

impl LuaUserData for Tally {
    fn add_methods<'lua, M: LuaUserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method_mut("add", |_, tally, text: String| tally.add(&text));
        methods.add_method_mut("on_new", |_, tally, callback: Option<OwnedFunction>| {
            tally.on_new = callback;
            Ok(())
        });
        methods.add_method("top", |lua, tally, n: usize| {
            let rows = tally.top(n).into_iter().map(|(word, count)| {
                let row = lua.create_table()?;
                row.set("word", word)?;
                row.set("count", count)?;
                Ok(row)
            });
            lua.create_sequence_from(rows.collect::<LuaResult<Vec<_>>>()?)
        });
        methods.add_meta_method(LuaMetaMethod::Len, |_, tally, ()| Ok(tally.counts.len()));
    }
}

#[mlua::lua_module]
fn tally(lua: &Lua) -> LuaResult<LuaTable<'_>> {
    let exports = lua.create_table()?;
    exports.set("new", lua.create_function(|_, ()| Ok(Tally::default()))?)?;
    Ok(exports)
}
