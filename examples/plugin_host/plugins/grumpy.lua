-- Raises errors: the host counts them and goes on.

local orders = 0

bus:subscribe("order", function(amount)
  orders = orders + 1
  if orders % 1000 == 0 then
    error("order number " .. orders .. " is too much work")
  end
  return "order of " .. amount .. " taken"
end)

bus:subscribe("report", function()
  local last_complaint
  return last_complaint.text
end)
