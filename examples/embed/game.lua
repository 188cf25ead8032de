-- The script of game.c: archers who learn to shoot while the game runs, and a herald who speaks through a model.
--
-- Nothing here knows of frames: it is straight-line code in tasks, and `lmopt.sleep(0)` gives way until the next step,
-- which the game takes once per frame.
local lmopt = require "lmopt"

local game, options = ... -- the functions of game.c, and its command line

local PATIENCE, RECENT = 6, 24 -- pixels that a second of drawing costs; arrows the herald remembers

math.randomseed(options.seed)
local free = {} -- archers who have nothing to do
for archer = 1, game.archers do free[archer] = archer end

local recent, loosed = {}, 0 -- how near the last arrows came

local function wait_frames(count)
  for _ = 1, count do lmopt.sleep(0) end
end

-- --- archery ---

-- What an archer makes of what he sees. `p` is his skill, and what the study tunes: how hard to pull, how far to aim
-- above the target, ahead of it and into the wind, how long to steady the hand.
local function aim(p, seen)
  local x, y = seen.dx, seen.dy
  for _ = 1, 3 do -- the flight lasts longer when he aims farther
    local flight = math.sqrt(x ^ 2 + y ^ 2) / p.strength
    x = seen.dx + p.lead * seen.vx * (flight + p.draw) - p.windage * 0.5 * seen.wind * flight ^ 2
    y = seen.dy + p.lead * seen.vy * (flight + p.draw) - p.drop * 0.5 * game.gravity * flight ^ 2
  end
  return math.atan(y, x)
end

-- The shots of a trial: the same for all, so that trials can be compared. y grows downwards.
local PRACTICE = {
  { dx = 200, dy = -90, vx = 22, vy = 0, wind = 30 }, { dx = 280, dy = -130, vx = -22, vy = -10, wind = -30 },
  { dx = 240, dy = -70, vx = -15, vy = 6, wind = 25 }, { dx = 180, dy = -140, vx = 12, vy = -14, wind = -20 },
  { dx = 290, dy = -100, vx = 20, vy = -6, wind = -15 },
}

-- Any shot.
local function surprise(random)
  return {
    dx = random:uniform(170, 290), dy = random:uniform(-150, -60), vx = random:uniform(-22, 22),
    vy = random:uniform(-14, 6), wind = random:uniform(-30, 30),
  }
end

-- One arrow; returns how far it passed from the balloon, in pixels. The hand shakes, as chance will have it: a trial's own
-- stream of chance, so that the study is the same however long the frames take.
local function shoot(archer, p, seen, random)
  local shake = random:normal(0, 1) * 0.004 * (p.strength / 300) ^ 2 / (0.2 + p.draw)
  game.shoot(archer, p.strength, aim(p, seen) + shake, p.draw, seen.dx, seen.dy, seen.vx, seen.vy, seen.wind)
  local miss
  repeat
    lmopt.sleep(0)
    miss = game.landed(archer)
  until miss
  loosed = loosed + 1
  recent[loosed % RECENT + 1] = miss
  return miss
end

-- Takes an archer who is free, and gives him back after `fn(archer)`.
local function with_archer(fn)
  while #free == 0 do lmopt.sleep(0) end
  local archer = table.remove(free)
  local result = fn(archer)
  free[#free + 1] = archer
  return result
end

-- --- what is tuned: game.skills has the names and ranges, which the game draws as bars ---

local function objective(trial)
  local p = {}
  for _, skill in ipairs(game.skills) do p[skill.name] = trial:suggest_float(skill.name, skill.low, skill.high) end
  local random = trial:random "shake"
  local miss = with_archer(function(archer)
    local sum = 0
    for _, seen in ipairs(PRACTICE) do sum = sum + shoot(archer, p, seen, random) end
    return sum / #PRACTICE
  end)
  local score = miss + PATIENCE * p.draw -- a bow drawn for long costs time
  game.result(score, p)
  return score
end

-- Chance for arrows that teach nobody anything: the same calls as a trial's stream.
local chance = {
  uniform = function(_, low, high) return low + (high - low) * math.random() end,
  normal = function(_, mean, deviation)
    return mean + deviation * math.sqrt(-2 * math.log(1 - math.random())) * math.cos(2 * math.pi * math.random())
  end,
}

local function tune()
  local study = lmopt.create_study {
    name = "archers", direction = "minimize", seed = options.seed, storage = options.storage, load_if_exists = true,
  }
  study:optimize(objective, { total = options.trials, n_jobs = game.archers })
  game.tuned(study.best_trial.number, study.best_value, study.best_params)
  for _ = 1, game.archers do -- from now on everybody shoots as the best did
    lmopt.spawn(function()
      while true do
        with_archer(function(archer) return shoot(archer, study.best_params, surprise(chance), chance) end)
      end
    end)
  end
end

-- --- the herald ---

local HERALD = [[
You are the herald of a company of archers at practice. Say how they do, in one of these lines:
- My shield, quick! They shoot at the clouds.: far away, none, terrible, hopeless
- Gentlemen, the balloon is on the OTHER side.: far, few, bad
- Closer! I felt the wind of that one.: close, some, learning, better
- Now THAT is how you pop a balloon!: near, many, good, skilled
- I shall write a song about this volley.: very near, nearly all, excellent, masters
Or say a line of your own in the same spirit, of at most eight words, and nothing else.]]

local function judgement()
  local sum, hits, count = 0, 0, 0
  for _, miss in pairs(recent) do
    sum, hits, count = sum + miss, hits + (miss < game.balloon and 1 or 0), count + 1
  end
  local mean, share = sum / count, hits / count
  local words = share > 0.75 and "very near, nearly all hit: excellent masters" or share > 0.5 and "near, many hit: good, skilled"
    or share > 0.3 and "close, some hit: learning, better" or share > 0.12 and "far, few hit: bad"
    or "far away, none hit: terrible, hopeless"
  return ("%d of the last %d arrows hit, %.0f pixels off on average: %s"):format(hits, count, mean, words)
end

local function herald()
  local model = lmopt.lm(options.lm, options.base_url and { base_url = options.base_url } or nil)
  while true do
    wait_frames(150)
    if next(recent) then
      local ok, reply = pcall(model, { temperature = 0.7, max_tokens = 60, messages = {
        { role = "system", content = HERALD }, { role = "user", content = judgement() } } })
      game.say(ok and reply.text or "(" .. tostring(reply) .. ")", not ok)
    end
  end
end

local function report(fn)
  return function()
    local ok, problem = xpcall(fn, function(e) return debug.traceback(tostring(e)) end)
    if not ok then game.fail(problem) end
  end
end

lmopt.spawn(report(tune))
lmopt.spawn(report(herald))
