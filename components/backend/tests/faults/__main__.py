"""python -m faults: see --help, or deployment/backend/manage/faults.sh."""

from faults.command import main

main()
