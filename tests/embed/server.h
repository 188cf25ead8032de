/*
** A server on the loopback for one process: it lives in the host's own thread
** and moves on when the host calls server_turn, so that nothing has to be
** started or waited for. It speaks as much HTTP as libcurl needs.
*/
#ifndef SERVER_H
#define SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_CLIENTS = 80, SERVER_REQUEST = 65536 };

typedef struct server {
  int listener, port;
  bool silent;      /* takes connections and requests, and never answers */
  const char *text; /* what the model says */
  size_t padding;   /* bytes of text after it */
  int answered;
  struct server_client {
    int socket; /* 0: free */
    size_t got, sent, size;
    char *reply;
    char request[SERVER_REQUEST];
  } clients[SERVER_CLIENTS];
} server;

static inline bool server_open(server *s) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  memset(s, 0, sizeof *s);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  s->text = "hello";
  s->listener = socket(AF_INET, SOCK_STREAM, 0);
  if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(s->listener, SERVER_CLIENTS) != 0 || getsockname(s->listener, (struct sockaddr *)&address, &size) != 0)
    return false;
  fcntl(s->listener, F_SETFL, O_NONBLOCK);
  fcntl(s->listener, F_SETFD, FD_CLOEXEC);
  s->port = ntohs(address.sin_port);
  return true;
}

static inline void server_forget(struct server_client *c) {
  if (c->socket > 0) close(c->socket);
  free(c->reply);
  memset(c, 0, sizeof *c);
}

static inline void server_close(server *s) {
  for (int i = 0; i < SERVER_CLIENTS; i++) server_forget(&s->clients[i]);
  if (s->listener > 0) close(s->listener);
  s->listener = -1;
}

/* What an OpenAI-compatible server answers. */
static inline void server_answer(server *s, struct server_client *c) {
  static const char head[] =
      "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",";
  static const char tail[] = "\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}";
  size_t body = strlen(head) + strlen("\"content\":\"") + strlen(s->text) + s->padding + strlen(tail);
  c->reply = malloc(body + 200);
  if (!c->reply) return;
  int header =
      snprintf(c->reply, body + 200,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s\"content\":\"%s",
               body, head, s->text);
  memset(c->reply + header, 'x', s->padding);
  memcpy(c->reply + (size_t)header + s->padding, tail, strlen(tail));
  c->size = (size_t)header + s->padding + strlen(tail);
  c->sent = 0;
  s->answered++;
}

/* Whether a whole request has arrived; requests come one after the other. */
static inline bool server_has_request(const struct server_client *c) {
  const char *end = memmem(c->request, c->got, "\r\n\r\n", 4);
  if (!end) return false;
  const char *length = memmem(c->request, (size_t)(end - c->request), "Content-Length: ", 16);
  size_t wanted = length ? strtoul(length + 16, NULL, 10) : 0;
  return (size_t)(c->request + c->got - (end + 4)) >= wanted;
}

static inline void server_move(server *s, struct server_client *c) {
  ssize_t n;
  while (!c->reply && c->got < sizeof c->request &&
         (n = recv(c->socket, c->request + c->got, sizeof c->request - c->got, MSG_DONTWAIT)) != -1) {
    if (n == 0) {
      server_forget(c);
      return;
    }
    c->got += (size_t)n;
  }
  if (!s->silent && !c->reply && server_has_request(c)) server_answer(s, c);
  while (c->reply && c->sent < c->size &&
         (n = send(c->socket, c->reply + c->sent, c->size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
    c->sent += (size_t)n;
  if (c->reply && c->sent == c->size) {
    free(c->reply);
    c->reply = NULL;
    c->got = 0;
  }
}

/* Takes what has come and gives what there is to give; never waits. */
static inline void server_turn(server *s) {
  int taken = accept(s->listener, NULL, NULL);
  for (int i = 0; i < SERVER_CLIENTS; i++) {
    struct server_client *c = &s->clients[i];
    if (c->socket == 0 && taken > 0) {
      c->socket = taken;
      taken = accept(s->listener, NULL, NULL);
    }
    if (c->socket > 0) server_move(s, c);
  }
  if (taken > 0) close(taken);
}

#endif
