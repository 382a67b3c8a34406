Console.WriteLine("gongzhi-verify");
