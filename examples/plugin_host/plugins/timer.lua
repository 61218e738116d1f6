-- Timers on the host's clock; one that is due fires an event of its own.

local timers, now = {}, 0

local function after(ticks, message)
  table.insert(timers, { at = now + ticks, message = message })
end

bus:subscribe("tick", function(clock)
  now = clock
  for i = #timers, 1, -1 do
    if timers[i].at <= now then
      local timer = table.remove(timers, i)
      bus:fire("alarm", timer.message)
    end
  end
end)

local alarms = { tea = 0, lunch = 0 }

bus:subscribe("alarm", function(message)
  alarms[message] = alarms[message] + 1
  after(message == "tea" and 10 or 25, message)
end)

bus:subscribe("report", function()
  return ("%d times tea, %d times lunch"):format(alarms.tea, alarms.lunch)
end)

after(10, "tea")
after(25, "lunch")
