local tally = require "tally"

local words = tally.new()
local new = {}
words:on_new(function(word) new[#new + 1] = word end)
words:add "to be or not to be"
words:add "that is the question"

print(#words .. " words: " .. table.concat(new, ", "))
for place, row in ipairs(words:top(2)) do
    print(place, row.word, row.count)
end

local ok, message = pcall(words.add, words, {})
print(ok, (tostring(message):gsub("\n.*", "")))
