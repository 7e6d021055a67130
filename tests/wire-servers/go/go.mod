module wireserver

go 1.24
