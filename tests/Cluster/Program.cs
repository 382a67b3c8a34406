using Gongzhi.Tests.Cluster;

// The tests, or one silo that a test started as a process of its own, to kill or freeze.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]

return args is [SiloProcess.Verb, var name, var database]
    ? await SiloProcess.ServeAsync(name, database)
    : await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions);
