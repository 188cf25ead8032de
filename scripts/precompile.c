/*
** Turns the Lua files inside build/obj/embedded.o into Lua's own binary form:
**
**   precompile build/precompiled.c
**
** writes `lm_embedded_files` once more, for the command, which carries the very
** Lua library that this program is linked with. Reading the texts is most of what
** a short command would do otherwise. Names and lines stay in: errors and
** tracebacks read the same. The library and the module keep the texts, since
** the Lua that loads them may be another 5.4.
*/
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "lua/binding.h"

static void fail(const char *what, const char *why) {
  fprintf(stderr, "precompile: %s: %s\n", what, why);
  exit(1);
}

typedef struct output {
  FILE *file;
  size_t size;
} output;

static int write_bytes(lua_State *L, const void *bytes, size_t size, void *userdata) {
  (void)L;
  output *out = userdata;
  const unsigned char *byte = bytes;
  for (size_t i = 0; i < size; i++, out->size++) fprintf(out->file, out->size % 32 == 0 ? "\n  %d," : "%d,", byte[i]);
  return 0;
}

/* Returns how many bytes the file's binary form has. */
static size_t write_chunk(lua_State *L, FILE *file, const lm_embedded_file *source, size_t index) {
  output out = {file, 0};
  if (luaL_loadbufferx(L, (const char *)source->text, source->size, source->chunk, "t") != LUA_OK)
    fail(source->chunk, lua_tostring(L, -1));
  fprintf(file, "static const unsigned char chunk_%zu[] = {", index);
  if (lua_dump(L, write_bytes, &out, 0) != 0) fail(source->chunk, "can't be dumped");
  fprintf(file, "\n};\n\n");
  lua_pop(L, 1);
  return out.size;
}

int main(int argc, char **argv) {
  if (argc != 2) fail("usage", "precompile OUTPUT");
  FILE *file = fopen(argv[1], "wb");
  lua_State *L = luaL_newstate();
  if (file == NULL) fail(argv[1], "can't be written");
  if (L == NULL) fail("memory", "none left");
  size_t count = 0;
  while (lm_embedded_files[count].module != NULL) count++;
  size_t *sizes = calloc(count + 1, sizeof *sizes);
  if (sizes == NULL) fail("memory", "none left");
  fprintf(file, "/* Made by scripts/precompile.c. */\n#include \"lua/binding.h\"\n\n");
  for (size_t i = 0; i < count; i++) sizes[i] = write_chunk(L, file, &lm_embedded_files[i], i);
  fprintf(file, "const lm_embedded_file lm_embedded_files[] = {\n");
  for (size_t i = 0; i < count; i++)
    fprintf(file, "  {\"%s\", \"%s\", chunk_%zu, %zu},\n", lm_embedded_files[i].module, lm_embedded_files[i].chunk, i,
            sizes[i]);
  fprintf(file, "  {NULL, NULL, NULL, 0},\n};\n");
  if (fclose(file) != 0) fail(argv[1], "can't be written");
  free(sizes);
  lua_close(L);
  return 0;
}
