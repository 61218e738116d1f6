-- A typing error.

local greeting = "hello"
bus:subscribe("message" function()
  return greeting
end)
