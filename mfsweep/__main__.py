"""`python -m mfsweep`, for a cluster where the package lies in the working directory and no script is installed."""

from mfsweep.cli.main import main

main()
