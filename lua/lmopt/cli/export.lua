--- `lmopt export PROGRAM.json`: a saved program as the messages it sends.
local errors = require "lmopt.error"
local json_reader = require "lmopt.json_reader"
local options = require "lmopt.cli.options"
local program_export = require "lmopt.program_export"
local whole_file = require "lmopt.whole_file"

local DONE = 0

local export = {}

export.command = {
  name = "export",
  synopsis = "PROGRAM [--format F] [--input INPUT] [--predictor PATH] [-o FILE]",
  summary = [[
Writes a saved program as the messages that it sends: instructions,
demonstrations and all, for other tools and other languages.]],
  positionals = { { name = "PROGRAM", required = true } },
  options = {
    { name = "format", value = "F", choices = program_export.formats, help = "messages (JSON, the default), text or lua (a table)" },
    { name = "input", value = "INPUT", help = "a JSON object of the inputs, or the file with it (- is standard\ninput); without it, "
      .. "each input stands as {name}" },
    { name = "predictor", value = "PATH", help = "this one alone" },
    { name = "output", short = "o", value = "FILE", help = "where to write it; else standard output" },
  },
  details = [[
One predictor is a list of { role, content }, several are such lists by path.
With --input the messages are, byte for byte, what a call sends. Where {name}
stands instead, a text goes there as it is; a list, a record, and whatever
stands in a JSON object, as JSON.]],
  examples = {
    "lmopt export sort.json",
    "lmopt export sort.json --format text --input '{\"ticket\": \"It crashes.\"}'",
    "lmopt export qa.json --predictor query --format lua -o query.lua",
  },
}

local function read_file(path)
  local file, problem = io.stdin, nil
  if path ~= "-" then file, problem = io.open(path, "rb") end
  if not file then errors.raise("not_found", problem) end
  local text, why = file:read "a"
  if file ~= io.stdin then file:close() end
  if not text then errors.raise("storage", ("%s can't be read: %s"):format(path, why)) end
  return text
end

local function read_input(given)
  local text = given:find "^%s*{" and given or read_file(given)
  local ok, input = json_reader.read((text:gsub("^\xEF\xBB\xBF", "")))
  if not ok then options.misuse(export.command, "--input is no JSON: %s", input) end
  if type(input) ~= "table" or input[1] ~= nil then options.misuse(export.command, "--input must be a JSON object") end
  return input
end

function export.main(values, _, host)
  local input = values.input and read_input(values.input)
  local ok, text = pcall(program_export.render, read_file(values.PROGRAM), values.format or "messages",
    { input = input, predictor = values.predictor })
  if not ok then
    if errors.is(text, "program") then text.message = values.PROGRAM .. ": " .. text.message end
    error(text, 0)
  end
  if values.output then
    whole_file.write(values.output, text)
  else
    host.write(text)
  end
  return DONE
end

return export
