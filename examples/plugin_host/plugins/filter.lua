-- Answers a message that swears with a polite one.

local rude = { darn = true, heck = true }
local masked = 0

local function mask(word)
  if rude[word:lower()] then
    masked = masked + 1
    return ("*"):rep(#word)
  end
end

bus:subscribe("message", function(text)
  local polite = text:gsub("%a+", mask)
  if polite ~= text then
    return polite
  end
end)

bus:subscribe("report", function()
  return ("%d words masked"):format(masked)
end)
