"""The child that reads a file of contacts; nobody starts it by hand."""

from gonets.bootstrap.reading import main

if __name__ == "__main__":
    main()
