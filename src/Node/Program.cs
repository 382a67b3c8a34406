using Gongzhi.Node.Cli;

return await GongzhiCommand.RunAsync(args).ConfigureAwait(false);
