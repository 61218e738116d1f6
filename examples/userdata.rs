//! A Rust type in Lua: fields, methods, operators, functions of the type, and how Rust gets its values back.

use mlua::{
    AnyUserData, AnyUserDataExt, FromLua, Lua, MetaMethod, Result, UserData, UserDataFields,
    UserDataMethods, UserDataRef, Value,
};

#[derive(Clone, Debug, PartialEq)]
struct Account {
    owner: String,
    pence: i64,
}

impl UserData for Account {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field("CURRENCY", "GBP");
        fields.add_field_method_get("owner", |_, account| Ok(account.owner.clone()));
        fields.add_field_method_set("owner", |_, account, owner| {
            account.owner = owner;
            Ok(())
        });
        // Without a setter, so that Lua cannot assign to it.
        fields.add_field_method_get("pence", |_, account| Ok(account.pence));
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method_mut("deposit", |_, account, amount: Amount| {
            account.pence += amount.0;
            Ok(account.pence)
        });
        // Two userdata as arguments: both are borrowed for the time of the call.
        methods.add_function("transfer", |_, (from, to, amount): Transfer| {
            from.borrow_mut::<Account>()?.pence -= amount.0;
            to.borrow_mut::<Account>()?.pence += amount.0;
            Ok(())
        });

        methods.add_meta_method(MetaMethod::ToString, |_, account, ()| {
            let (pounds, pence) = (account.pence / 100, account.pence % 100);
            Ok(format!("{}: £{pounds}.{pence:02}", account.owner))
        });
        methods.add_meta_function(
            MetaMethod::Lt,
            |_, (a, b): (UserDataRef<Account>, UserDataRef<Account>)| Ok(a.pence < b.pence),
        );
    }
}

type Transfer<'lua> = (AnyUserData<'lua>, AnyUserData<'lua>, Amount);

/// An argument that checks itself: a number of pence above zero.
struct Amount(i64);

impl<'lua> FromLua<'lua> for Amount {
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        match i64::from_lua(value, lua)? {
            pence if pence > 0 => Ok(Amount(pence)),
            pence => Err(mlua::Error::runtime(format!("not an amount: {pence}"))),
        }
    }
}

fn main() -> Result<()> {
    let lua = Lua::new();
    let open = lua.create_function(|_, owner| Ok(Account { owner, pence: 0 }))?;
    lua.globals()
        .set("Account", lua.create_proxy::<Account>()?)?;
    lua.globals().set("open", open)?;

    lua.load(
        r#"
        ada, bob = open("Ada"), open("Bob")
        ada:deposit(2050)
        ada.transfer(ada, bob, 1000)
        bob.owner = "Robert"
        print(ada)
        print(bob)
        assert(bob < ada and not (ada < bob))

        -- The proxy has the fields and functions of the type, without a value.
        assert(Account.CURRENCY == "GBP")
        Account.transfer(bob, ada, 1)

        local ok, message = pcall(ada.deposit, ada, -1)
        assert(not ok and tostring(message):find("not an amount: -1", 1, true))
        assert(not pcall(function() ada.pence = 1000000 end))
        assert(not pcall(ada.deposit, io.stdout, 1))
        "#,
    )
    .set_name("accounts.lua")
    .exec()?;

    read_from_rust(&lua)?;
    use_a_type_of_another_crate(&lua)
}

fn read_from_rust(lua: &Lua) -> Result<()> {
    let ada: AnyUserData = lua.globals().get("ada")?;
    assert_eq!(ada.borrow::<Account>()?.pence, 1051);
    ada.borrow_mut::<Account>()?.pence = 5;

    // The way Lua goes: through fields, methods and metamethods.
    assert_eq!(ada.get::<_, i64>("pence")?, 5);
    assert_eq!(ada.call_method::<_, i64>("deposit", 10)?, 15);

    // Out of Lua: the userdata that stays behind is of no use to anyone.
    let account: Account = ada.take()?;
    println!("taken: {account:?}");
    let error = ada.borrow::<Account>().unwrap_err();
    println!("what is left: {error}");
    Ok(())
}

/// A type that cannot have `UserData` implemented for it here gets its methods by registration.
fn use_a_type_of_another_crate(lua: &Lua) -> Result<()> {
    lua.register_userdata_type::<std::time::Duration>(|registry| {
        registry.add_field_method_get("millis", |_, time| Ok(time.as_millis() as u64));
        registry.add_method("times", |_, time, factor: u32| {
            Ok(AnyUserData::wrap(*time * factor))
        });
    })?;
    let time = lua.create_any_userdata(std::time::Duration::from_millis(250))?;
    lua.globals().set("time", time)?;
    let millis: u64 = lua.load("time:times(4).millis").eval()?;
    println!("4 * 250 ms = {millis} ms");
    assert_eq!(millis, 1000);
    Ok(())
}
