-- Counts messages, words and what has been ordered.

local messages, words, turnover = 0, 0, 0

bus:subscribe("message", function(text)
  messages = messages + 1
  for _ in text:gmatch("%a+") do
    words = words + 1
  end
end)

bus:subscribe("order", function(amount)
  turnover = turnover + amount
end)

bus:subscribe("report", function()
  return ("%d messages of %d words, turnover %d"):format(messages, words, turnover)
end)
