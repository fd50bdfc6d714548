# shellcheck shell=sh
# Answers the questions that it is given.

mark begin
places
answers "$@"
mark end 0
