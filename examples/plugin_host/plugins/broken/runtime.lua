-- Uses something that the host does not have.

local settings = host.settings

bus:subscribe("message", function()
  return settings.reply
end)
