#!/bin/sh
# Reads the variables that were made for this container, where there are any, and becomes its program.
set -eu
file=${ENVIRONMENT_FILE:-/run/huangou/environment}
if [ -r "$file" ]; then
    set -a
    . "$file"
    set +a
fi
exec "$@"
