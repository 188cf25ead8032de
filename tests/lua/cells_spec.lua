-- The cells of a study's score sheets: study._core:add_cell, cell, copy_cells.
local lmopt = require "lmopt"
local support = require "study_support"

local with_file = support.with_file

local function missing(core, key)
  local record, message = core:cell(key)
  return record == nil and message == nil
end

local function fill(core, count)
  for i = 1, count do assert.is_true(core:add_cell(("key %d"):format(i), ('{"score":%d}'):format(i))) end
end

local function check(core, count)
  for i = 1, count do assert.equal(('{"score":%d}'):format(i), core:cell(("key %d"):format(i))) end
  assert.is_true(missing(core, ("key %d"):format(count + 1)))
end

describe("cells", function()
  it("in memory", function()
    local study <close> = lmopt.create_study { seed = 1 }
    assert.is_true(missing(study._core, "key 1"))
    fill(study._core, 100)
    assert.is_true(study._core:add_cell("key 1", "another"))
    assert.is_true(study._core:add_cell("", "empty"))
    check(study._core, 100)
    assert.equal("empty", study._core:cell "")
    local other <close> = lmopt.create_study { seed = 1 }
    assert.is_true(missing(other._core, "key 1"))
    local copied, message, kind = other._core:copy_cells(study._core)
    assert.is_nil(copied)
    assert.equal("misuse", kind)
    assert.matches("not both in files", message)
    assert.has_error(function() study._core:add_cell("a\0b", "1") end)
  end)

  it("in a file, for everybody who has it open, and later", function()
    with_file(function(path)
      do
        local study <close> = lmopt.create_study { name = "s", storage = path }
        local second <close> = lmopt.load_study { name = "s", storage = path }
        fill(study._core, 5)
        assert.is_true(second._core:add_cell("key 2", "too late"))
        check(second._core, 5)
      end
      local reader <close> = lmopt.load_study { name = "s", storage = path, read_only = true }
      check(reader._core, 5)
      local added, message, kind = reader._core:add_cell("key 9", "1")
      assert.is_nil(added)
      assert.equal("misuse", kind)
      assert.matches("read only", message)
      reader:close()
      added, message = reader._core:cell "key 1"
      assert.is_nil(added)
      assert.matches("closed", message)
    end)
  end)

  it("go with a copy of the study, and with the study", function()
    with_file(function(path)
      with_file(function(other)
        do
          local study <close> = lmopt.create_study { name = "s", storage = path, seed = 1 }
          fill(study._core, 300) -- more than are copied at a time
          study:tell(study:ask(), 1)
        end
        for _, place in ipairs { path, other } do
          local copy <close> = lmopt.copy_study { from_name = "s", from_storage = path, to_storage = place, to_name = "t" }
          check(copy._core, 300)
        end
        lmopt.delete_study { name = "s", storage = path }
        local study <close> = lmopt.create_study { name = "s", storage = path }
        assert.is_true(missing(study._core, "key 1"))
        local copy <close> = lmopt.load_study { name = "t", storage = path }
        check(copy._core, 300)
      end)
    end)
  end)
end)
