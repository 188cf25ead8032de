--- The words of a text as answers are compared: without case, punctuation, articles, and the ways to write one character.
--
-- After the evaluation of P. Rajpurkar, J. Zhang, K. Lopyrev and P. Liang, "SQuAD: 100,000+ Questions for Machine
-- Comprehension of Text", EMNLP 2016, which makes text lower case, drops punctuation and the articles a, an, the, and puts
-- one space between words. Different here, because there it makes wrong answers right:
--   * a sign or a point that belongs to a number stays: 3.5 is not 35, -5 not 5 (1,000 is 1000);
--   * where nothing would be left, what was dropped stays: the answer "A" is not the answer "The", nor "+" the answer "-".
-- And for texts that are not English: case and accents of the usual Latin, Greek, Cyrillic and Armenian letters, an accent within its
-- letter or after it (Unicode 15, canonical decomposition), full-width forms, the punctuation of other scripts, and each
-- Chinese or Japanese character as a word, since no spaces part those.
local words = {}

local char = utf8.char

-- Accents and the letters that have them, each followed by the letter without.
local WITH_MARKS = {
  [0x0300] = "àa èe ìi òo ùu ǜü ǹn ѐе ѝи ḕē ṑō ẁw ầâ ằă ềê ồô ờơ ừư ỳy",
  [0x0301] = "áa ée íi óo úu ýy ćc ĺl ńn ŕr śs źz ǘü ǵg ǻå ǽæ ǿø ΐϊ ΰϋ άα έε ήη ίι όο ύυ ώω ѓг ќк ḉç ḗē ḯï ḱk ḿm ṍõ ṓō ṕp ṹũ ẃw " ..
    "ấâ ắă ếê ốô ớơ ứư",
  [0x0302] = "âa êe îi ôo ûu ĉc ĝg ĥh ĵj ŝs ŵw ŷy ẑz ậạ ệẹ ộọ",
  [0x0303] = "ãa ñn õo ĩi ũu ṽv ẫâ ẵă ẽe ễê ỗô ỡơ ữư ỹy",
  [0x0304] = "āa ēe īi ōo ūu ǖü ǟä ǡȧ ǣæ ǭǫ ȫö ȭõ ȱȯ ȳy ӣи ӯу ḡg ḹḷ ṝṛ",
  [0x0306] = "ăa ĕe ğg ĭi ŏo ŭu йи ўу ӂж ӑа ӗе ḝȩ ặạ",
  [0x0307] = "ċc ėe ġg żz ȧa ȯo ḃb ḋd ḟf ḣh ṁm ṅn ṗp ṙr ṡs ṥś ṧš ṩṣ ṫt ẇw ẋx ẏy",
  [0x0308] = "äa ëe ïi öo üu ÿy ϊι ϋυ ёе їі ӓа ӛә ӝж ӟз ӥи ӧо ӫө ӭэ ӱу ӵч ӹы ḧh ṏõ ṻū ẅw ẍx",
  [0x0309] = "ảa ẩâ ẳă ẻe ểê ỉi ỏo ổô ởơ ủu ửư ỷy",
  [0x030A] = "åa ůu",
  [0x030B] = "őo űu ӳу",
  [0x030C] = "čc ďd ěe ľl ňn řr šs ťt žz ǎa ǐi ǒo ǔu ǚü ǧg ǩk ǯʒ ȟh",
  [0x030F] = "ȁa ȅe ȉi ȍo ȑr ȕu ѷѵ",
  [0x0311] = "ȃa ȇe ȋi ȏo ȓr ȗu",
  [0x031B] = "ơo ưu",
  [0x0323] = "ḅb ḍd ḥh ḳk ḷl ṃm ṇn ṛr ṣs ṭt ṿv ẉw ẓz ạa ẹe ịi ọo ợơ ụu ựư ỵy",
  [0x0324] = "ṳu",
  [0x0325] = "ḁa",
  [0x0326] = "șs țt",
  [0x0327] = "çc ģg ķk ļl ņn ŗr şs ţt ȩe ḑd ḩh",
  [0x0328] = "ąa ęe įi ųu ǫo",
  [0x032D] = "ḓd ḙe ḽl ṋn ṱt ṷu",
  [0x032E] = "ḫh",
  [0x0330] = "ḛe ḭi ṵu",
  [0x0331] = "ḇb ḏd ḵk ḻl ṉn ṟr ṯt ẕz",
}

local DECOMPOSED = {} -- code -> base, mark
for mark, list in next, WITH_MARKS do
  for whole, base in list:gmatch("(" .. utf8.charpattern .. ")(" .. utf8.charpattern .. ") ?") do
    DECOMPOSED[utf8.codepoint(whole)] = { utf8.codepoint(base), mark }
  end
end

-- Inclusive ranges of codes, in order.
local PUNCTUATION = {
  { 0xA1, 0xA1 }, { 0xA7, 0xA7 }, { 0xAB, 0xAB }, { 0xB6, 0xB7 }, { 0xBB, 0xBB }, { 0xBF, 0xBF }, { 0x37E, 0x37E }, { 0x387, 0x387 },
  { 0x55A, 0x55F }, { 0x589, 0x58A }, { 0x5BE, 0x5BE }, { 0x5C0, 0x5C0 }, { 0x5C3, 0x5C3 }, { 0x5F3, 0x5F4 }, { 0x60C, 0x60D },
  { 0x61B, 0x61B }, { 0x61D, 0x61F }, { 0x66A, 0x66D }, { 0x6D4, 0x6D4 }, { 0x964, 0x965 }, { 0x970, 0x970 }, { 0xE4F, 0xE4F },
  { 0xE5A, 0xE5B }, { 0x104A, 0x104F }, { 0x10FB, 0x10FB }, { 0x1360, 0x1368 }, { 0x17D4, 0x17D6 }, { 0x1800, 0x180A },
  { 0x2010, 0x2027 }, { 0x2030, 0x205E }, { 0x207D, 0x207E }, { 0x208D, 0x208E }, { 0x2308, 0x230B }, { 0x2329, 0x232A },
  { 0x2768, 0x2775 }, { 0x27E6, 0x27EF }, { 0x2983, 0x2998 }, { 0x2E00, 0x2E2E }, { 0x2E30, 0x2E5D }, { 0x3001, 0x3003 },
  { 0x3008, 0x3011 }, { 0x3014, 0x301F }, { 0x3030, 0x3030 }, { 0x303D, 0x303D }, { 0x30A0, 0x30A0 }, { 0x30FB, 0x30FB },
  { 0xFD3E, 0xFD3F }, { 0xFE10, 0xFE19 }, { 0xFE30, 0xFE52 }, { 0xFE54, 0xFE61 }, { 0xFE63, 0xFE63 }, { 0xFE68, 0xFE68 },
  { 0xFE6A, 0xFE6B }, { 0xFF5F, 0xFF65 },
}
-- What takes a word of its own: kana and Chinese characters.
local ALONE = { { 0x3005, 0x3007 }, { 0x3041, 0x30FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xF900, 0xFAFF }, { 0x20000, 0x323AF } }
local SPACES = {
  { 0x09, 0x0D }, { 0x20, 0x20 }, { 0x85, 0x85 }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A }, { 0x2028, 0x2029 },
  { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
}
local INVISIBLE = { { 0xAD, 0xAD }, { 0x200B, 0x200F }, { 0x202A, 0x202E }, { 0x2060, 0x2064 }, { 0xFE00, 0xFE0F }, { 0xFEFF, 0xFEFF } }
local MARKS = { { 0x300, 0x36F } }
-- Letters whose other case is a fixed distance away, or the next code.
local MOVED = {
  { 0x41, 0x5A, 32 }, { 0xC0, 0xD6, 32 }, { 0xD8, 0xDE, 32 }, { 0x388, 0x38A, 37 }, { 0x38E, 0x38F, 63 }, { 0x391, 0x3A1, 32 },
  { 0x3A3, 0x3AB, 32 }, { 0x400, 0x40F, 80 }, { 0x410, 0x42F, 32 }, { 0x531, 0x556, 48 },
}
local NEXT_IF_EVEN = {
  { 0x100, 0x12F }, { 0x132, 0x137 }, { 0x14A, 0x177 }, { 0x1DE, 0x1EF }, { 0x1F8, 0x21F }, { 0x222, 0x233 }, { 0x3D8, 0x3EF },
  { 0x460, 0x481 }, { 0x48A, 0x4BF }, { 0x4D0, 0x52F }, { 0x1E00, 0x1E95 }, { 0x1EA0, 0x1EFF },
}
local NEXT_IF_ODD = { { 0x139, 0x148 }, { 0x179, 0x17E }, { 0x1CD, 0x1DC }, { 0x4C1, 0x4CE } }
local MOVED_ALONE = {
  [0x178] = 0xFF, [0x17F] = 0x73, [0x1A0] = 0x1A1, [0x1AF] = 0x1B0, [0x386] = 0x3AC, [0x38C] = 0x3CC, [0x3C2] = 0x3C3, [0x4C0] = 0x4CF,
}
local EXPANDED = {
  [0xDF] = "ss", [0x1E9E] = "ss", [0x130] = "i\xCC\x87", [0xFB00] = "ff", [0xFB01] = "fi", [0xFB02] = "fl", [0xFB03] = "ffi",
  [0xFB04] = "ffl", [0xFB05] = "st", [0xFB06] = "st",
}

local function within(ranges, code)
  local low, high = 1, #ranges
  while low <= high do
    local middle = (low + high) // 2
    local range = ranges[middle]
    if code < range[1] then
      high = middle - 1
    elseif code > range[2] then
      low = middle + 1
    else
      return range
    end
  end
end

local function lower(code)
  if MOVED_ALONE[code] then return MOVED_ALONE[code] end
  local moved = within(MOVED, code)
  if moved then return code + moved[3] end
  if code % 2 == 0 and within(NEXT_IF_EVEN, code) or code % 2 == 1 and within(NEXT_IF_ODD, code) then return code + 1 end
  return code
end

-- The letter that a character is made of; the marks on it go to `marks`.
local function decompose(code, marks)
  local made = DECOMPOSED[code]
  while made do
    marks[#marks + 1] = made[2]
    code = made[1]
    made = DECOMPOSED[code]
  end
  return code
end

local function is_digit(code) return code ~= nil and code >= 48 and code <= 57 end

local function is_punctuation(code)
  if code < 128 then
    return code >= 33 and code <= 47 or code >= 58 and code <= 64 or code >= 91 and code <= 96 or code >= 123 and code <= 126
  end
  return within(PUNCTUATION, code) ~= nil
end

-- The codes of a text, full-width forms as plain ones. What is not UTF-8 counts as Latin-1.
local function codes_of(text)
  if not utf8.len(text) then text = text:gsub("[\x80-\xFF]", function(one) return char(one:byte()) end) end
  local codes, count = {}, 0
  for _, code in utf8.codes(text) do
    if code >= 0xFF01 and code <= 0xFF5E then
      code = code - 0xFEE0
    elseif code == 0x2212 then
      code = 45
    end
    if not (code >= 128 and within(INVISIBLE, code)) then
      count = count + 1
      codes[count] = code
    end
  end
  return codes, count
end

-- Whether the punctuation at `i` belongs to a number: a sign before it, or a point within it.
local function of_number(codes, i)
  if not is_digit(codes[i + 1]) then return false end
  local before = codes[i - 1]
  if is_digit(before) then return codes[i] ~= 44 end
  return codes[i] == 45 and (before == nil or within(SPACES, before) ~= nil)
end

local ASCII_WORD = "[0-9A-Za-z]+"
local UPPER = {}
for code = 65, 90 do UPPER[string.char(code)] = string.char(code + 32) end

-- Plain English, the quick way.
local function plain_words(text)
  local list, count = {}, 0
  for word in text:gsub("[A-Z]", UPPER):gmatch(ASCII_WORD) do
    count = count + 1
    list[count] = word
  end
  return list
end

-- All words, articles too. `whole`: punctuation stays.
local function split(text, whole)
  local codes, count = codes_of(text)
  local list, word, marks = {}, {}, {}
  local function end_letter()
    if #marks == 0 then return end
    table.sort(marks) -- in whichever order they were written
    for i = 1, #marks do word[#word + 1] = char(marks[i]) end
    marks = {}
  end
  local function end_word()
    end_letter()
    if #word > 0 then list[#list + 1] = table.concat(word) end
    word = {}
  end
  for i = 1, count do
    local code = codes[i]
    if within(SPACES, code) then
      end_word()
    elseif within(MARKS, code) then
      marks[#marks + 1] = code
    elseif within(ALONE, code) and code ~= 0x30FB then
      end_word()
      list[#list + 1] = char(code)
    elseif whole or not is_punctuation(code) or of_number(codes, i) then
      end_letter()
      word[#word + 1] = EXPANDED[code] or char(decompose(lower(code), marks))
    end
  end
  end_word()
  return list
end

local ARTICLES = { a = true, an = true, the = true }

local function without_articles(list)
  local kept = {}
  for _, word in ipairs(list) do
    if not ARTICLES[word] then kept[#kept + 1] = word end
  end
  return #kept > 0 and kept or list
end

---The words of a text.
---@param text string
---@return string[]
function words.list(text)
  if not text:find "[^0-9A-Za-z ]" then return without_articles(plain_words(text)) end
  local list = split(text, false)
  if #list == 0 then list = split(text, true) end
  return without_articles(list)
end

---The text as it is compared: its words, one space between them.
---@param text string
---@return string
function words.normalize(text) return table.concat(words.list(text), " ") end

return words
