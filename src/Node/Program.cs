using Gongzhi.Node.Cli;

var parsed = GongzhiCommand.Create().Parse(args);
var exit = await parsed.InvokeAsync().ConfigureAwait(false);
return parsed.Errors.Count > 0 ? ExitCode.Usage : exit;
