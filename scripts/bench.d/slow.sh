#!/bin/sh
# A worker for baton: the first of its siblings is a Node script that sleeps before each answer, the others are baton's own.
# usage: slow.sh BATON SLOW.JS
if [ "$BATON_WORKER" = 1 ]; then exec node "$2"; fi
exec "$1" worker
