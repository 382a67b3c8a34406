Console.WriteLine("gongzhi");
