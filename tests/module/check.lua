-- Run by the system's Lua. A finalizer that finds something wrong ends the program with the code 1.
local m
local checked = 0

-- Older than the instance, so its finalizer runs when that is gone.
early = setmetatable({}, { __gc = function()
    local ok, text = pcall(m.add, 1, 2)
    if ok or text ~= "Lua instance is destroyed" or checked ~= 3 then
        print("in a late finalizer", ok, text, checked)
        os.exit(1)
    end
    print "ok"
end })

coroutine.wrap(function() m = require "testmod" end)()
assert(require "testmod" == m)
package.loaded.testmod = nil
local again = coroutine.wrap(function() return require "testmod" end)()
assert(again ~= m and again.add(1, 2) == 3 and m.add(3, 4) == 7 and m.times_seven(2) == 14)

local fast = require "testmod.fast"
assert(#fast "text" == 2 and fast "text"[1] == "text")

local function refuses(expected, f, ...)
    local ok, e = pcall(f, ...)
    assert(not ok and tostring(e):find(expected, 1, true), tostring(e))
end
refuses("this module does not open", require, "testmod.broken")
refuses("on its own", m.fail, "on its own")
refuses("on purpose", m.panic)
refuses("bad argument #2", m.add, 1, {})

m.keep({}, print)
again.keep({}, print)
witness = m.witness {}
local function check()
    if witness:is_alive() then
        print "a handle is alive while the VM is being closed"
        os.exit(1)
    end
    checked = checked + 1
end
direct = setmetatable({}, { __gc = check })
tail = setmetatable({}, { __gc = function(...) return check(...) end })
in_coroutine = setmetatable({}, { __gc = function() coroutine.wrap(check)() end })

-- Finalizers of a collection find live handles.
local seen = 0
for _, mode in ipairs { "generational", "incremental" } do
    collectgarbage(mode)
    setmetatable({}, { __gc = function() seen = seen + (witness:is_alive() and 1 or 0) end })
    collectgarbage()
end
assert(seen == 2)

if ... == "exit" then
    os.exit(true, true)
end
