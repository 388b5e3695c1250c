package report

type (
	MakeArgs = makeArgs
	SendArgs = sendArgs
)
