using System.CommandLine;
using Gongzhi.Node.Cli;

var parsed = GongzhiCommand.Create().Parse(args);
// A node that is told to stop finishes what it accepted: its own limit is 30 s, and this must not cut it short.
var exit = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(40) }).ConfigureAwait(false);
return parsed.Errors.Count > 0 ? ExitCode.Usage : exit;
