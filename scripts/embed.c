/*
** Turns the Lua files below a folder into one C file:
**
**   embed lua/lmopt build/embedded.c
**
** writes `lm_embedded_files` (src/lua/binding.h), sorted by path, so that the
** same tree always gives the same bytes. lua/lmopt/a/b.lua becomes module
** "lmopt.a.b" with chunk name "@lmopt/a/b.lua"; an init.lua stands for its
** folder, except at the top, which is "lmopt.init" ("lmopt" itself is the C
** module that loads it). Runs on the machine that builds.
*/
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct source {
  char *path;   /* below the root: "cli/run.lua" */
  char *module; /* "lmopt.cli.run" */
  size_t size;
} source;

static source *sources;
static size_t count, capacity;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "embed: %s: %s\n", what, why);
  exit(1);
}

static void *checked(void *block) {
  if (block == NULL) fail("memory", "none left");
  return block;
}

/* left + middle + right, as a new string. */
static char *join(const char *left, const char *middle, const char *right) {
  size_t size = strlen(left) + strlen(middle) + strlen(right) + 1;
  char *text = checked(malloc(size));
  snprintf(text, size, "%s%s%s", left, middle, right);
  return text;
}

static int ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a > b && strcmp(text + a - b, end) == 0;
}

static char *module_of(const char *top, const char *path) {
  char *module = join(top, ".", path);
  size_t size = strlen(module) - strlen(".lua");
  module[size] = '\0';
  for (char *c = module; *c != '\0'; c++) {
    if (*c == '/') *c = '.';
  }
  if (strchr(path, '/') != NULL && ends_with(module, ".init")) module[size - strlen(".init")] = '\0';
  return module;
}

static void collect(const char *root, const char *folder, const char *top) {
  char *full = folder[0] == '\0' ? join(root, "", "") : join(root, "/", folder);
  DIR *directory = opendir(full);
  if (directory == NULL) fail(full, strerror(errno));
  struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    char *path = folder[0] == '\0' ? join("", "", entry->d_name) : join(folder, "/", entry->d_name);
    char *file = join(root, "/", path);
    struct stat info;
    if (stat(file, &info) != 0) fail(file, strerror(errno));
    if (S_ISDIR(info.st_mode)) {
      collect(root, path, top);
    } else if (ends_with(path, ".lua")) {
      if (count == capacity) {
        capacity = capacity == 0 ? 64 : 2 * capacity;
        sources = checked(realloc(sources, capacity * sizeof *sources));
      }
      sources[count++] = (source){path, module_of(top, path), 0};
      path = NULL;
    }
    free(file);
    free(path);
  }
  closedir(directory);
  free(full);
}

static int compare(const void *a, const void *b) {
  return strcmp(((const source *)a)->path, ((const source *)b)->path);
}

static void write_bytes(FILE *out, const char *root, size_t index) {
  char *file = join(root, "/", sources[index].path);
  FILE *in = fopen(file, "rb");
  if (in == NULL) fail(file, strerror(errno));
  fprintf(out, "static const unsigned char text_%zu[] = {", index);
  int c;
  size_t size = 0;
  while ((c = getc(in)) != EOF) {
    fprintf(out, size % 32 == 0 ? "\n  %d," : "%d,", c);
    size++;
  }
  fprintf(out, "%s0};\n\n", size == 0 ? "" : "\n  ");
  if (ferror(in)) fail(file, "can't be read");
  sources[index].size = size;
  fclose(in);
  free(file);
}

int main(int argc, char **argv) {
  if (argc != 3) fail("usage", "embed FOLDER OUTPUT");
  const char *root = argv[1];
  const char *slash = strrchr(root, '/');
  const char *top = slash == NULL ? root : slash + 1;
  collect(root, "", top);
  if (count == 0) fail(root, "holds no Lua file");
  qsort(sources, count, sizeof *sources, compare);
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < i; k++) {
      if (strcmp(sources[i].module, sources[k].module) == 0) fail(sources[i].path, "a second file of that module name");
    }
  }

  FILE *out = fopen(argv[2], "wb");
  if (out == NULL) fail(argv[2], strerror(errno));
  fprintf(out, "/* Made by scripts/embed.c from %s. */\n#include \"lua/binding.h\"\n\n", top);
  for (size_t i = 0; i < count; i++) write_bytes(out, root, i);
  fprintf(out, "const lm_embedded_file lm_embedded_files[] = {\n");
  for (size_t i = 0; i < count; i++) {
    fprintf(out, "  {\"%s\", \"@%s/%s\", text_%zu, %zu},\n", sources[i].module, top, sources[i].path, i,
            sources[i].size);
  }
  fprintf(out, "  {NULL, NULL, NULL, 0},\n};\n");
  if (fclose(out) != 0) fail(argv[2], strerror(errno));
  for (size_t i = 0; i < count; i++) {
    free(sources[i].path);
    free(sources[i].module);
  }
  free(sources);
  return 0;
}
