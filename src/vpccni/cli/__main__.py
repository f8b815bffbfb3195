from vpccni.cli.main import main

main()
