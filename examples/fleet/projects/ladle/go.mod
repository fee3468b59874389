module example.org/ladle

go 1.22
