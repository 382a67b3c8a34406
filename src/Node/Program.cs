using Gongzhi.Node.Cli;

return await GongzhiCommand.Create().Parse(args).InvokeAsync().ConfigureAwait(false);
