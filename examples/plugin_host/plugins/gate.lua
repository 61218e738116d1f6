-- A turnstile: a coin unlocks it, a push goes through and locks it again.

local transitions = {
  locked = { coin = "unlocked", push = "locked" },
  unlocked = { coin = "unlocked", push = "locked" },
}
local state, passed, refused = "locked", 0, 0

bus:subscribe("gate", function(input)
  if input == "push" then
    if state == "unlocked" then
      passed = passed + 1
    else
      refused = refused + 1
    end
  end
  state = transitions[state][input]
  return state
end)

bus:subscribe("report", function()
  return ("%d passed, %d refused, now %s"):format(passed, refused, state)
end)
