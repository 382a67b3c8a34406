using Gongzhi.Verifier;

Console.OutputEncoding = System.Text.Encoding.UTF8;
return await Doors.RunAsync(args, Console.Out, Console.Error);
