using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Node.Hosting;
using Gongzhi.SampleCity;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi sample</c>: the made-up city in a data directory without serving it, or as files to try importing with.</summary>
internal static class SampleCommand
{
    public static Command Create()
    {
        var data = new Option<string?>("--data") { Description = Say.In("Data directory to make, or to fill when it is empty.", "要创建的（或填充的空）数据目录。") };
        var world = new Option<string?>("--world") { Description = Say.In("Name of the world, for a directory that is made (default: main).", "新建目录时的世界名（默认 main）。") };
        var files = new Option<string?>("--files") { Description = Say.In("Directory to write places, definitions and records to, as files to import.", "把区划、数据集定义和数据写成可导入文件的目录。") };
        var json = new Option<bool>("--json") { Description = Say.In("Print what was made as JSON.", "以 JSON 输出结果。") };
        var command = new Verb("sample", "Make the made-up sample city, without serving it.", "生成虚构的示例城市（不提供服务）。",
            "sample --data demo", "sample --files city") { data, world, files, json };
        command.Validators.Add(result =>
        {
            if (result.GetResult(data) is null && result.GetResult(files) is null)
                result.AddError(Say.In("Give --data, --files or both.", "请给出 --data、--files 或两者。"));
        });
        command.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var asJson = parsed.GetValue(json);
            IReadOnlyList<SampleLoader.DemoAccount> accounts = [];
            if (parsed.GetValue(data) is { } directory)
            {
                accounts = await StoppedNode.RunAsync(StoppedNode.Options(directory, parsed.GetValue(world)), services => LoadAsync(services, asJson, cancel), cancel).ConfigureAwait(false);
                if (accounts.Count == 0)
                    throw new CliException(ExitCode.Refused, Say.In($"{directory} holds other datasets; it was left alone.", $"{directory} 中已有其他数据集，未作改动。"));
            }
            var written = parsed.GetValue(files) is { } folder ? await WriteFilesAsync(folder, asJson, cancel).ConfigureAwait(false) : [];
            if (asJson)
                Console.WriteLine(JsonSerializer.Serialize(new { data = parsed.GetValue(data), files = written, accounts = accounts.Select(a => new { a.Name, a.Role, a.Unit }) }, Web));
            else
                Print(parsed.GetValue(data), parsed.GetValue(files), accounts, written);
            return ExitCode.Ok;
        }));
        return command;
    }

    private static readonly JsonSerializerOptions Web = new(JsonSerializerDefaults.Web);

    /// <summary>Loads the city with a bar of its parts.</summary>
    public static async Task<IReadOnlyList<SampleLoader.DemoAccount>> LoadAsync(IServiceProvider services, bool json, CancellationToken cancel)
    {
        IReadOnlyList<SampleLoader.DemoAccount> accounts = [];
        await TerminalProgress.CountAsync(Say.In("Sample city", "示例城市"), City.Generate().Datasets.Count + 1, json, async done =>
            accounts = await SampleLoader.LoadAsync(services, _ => done(1), cancel).ConfigureAwait(false)).ConfigureAwait(false);
        return accounts;
    }

    public static void PrintAccounts(IReadOnlyList<SampleLoader.DemoAccount> accounts)
    {
        Console.WriteLine();
        Console.WriteLine(Say.In("The sample city 云川省 is made up; nobody in it is real. Accounts to look round with (also in demo-accounts.json):",
            "示例城市“云川省”纯属虚构，其中没有真人。可供浏览的账号（也在 demo-accounts.json 中）："));
        foreach (var account in accounts)
            Console.WriteLine(Say.In($"  {account.Name,-12} {account.Password}   {account.Role} of {account.Unit}", $"  {account.Name,-12} {account.Password}   {account.Unit} 的 {account.Role}"));
    }

    private static void Print(string? data, string? folder, IReadOnlyList<SampleLoader.DemoAccount> accounts, List<string> written)
    {
        if (data is not null)
        {
            Console.WriteLine(Say.In($"The sample city is in {data}; serve it with: ./gongzhi serve --data {data}", $"示例城市已存入 {data}；提供服务：./gongzhi serve --data {data}"));
            PrintAccounts(accounts);
        }
        if (folder is not null)
        {
            Console.WriteLine(Say.In($"{written.Count} files in {folder}. To try importing, on a running node:", $"{written.Count} 个文件已写入 {folder}。在运行中的节点上试用导入："));
            Console.WriteLine($"  ./gongzhi admin places import {folder}/places.csv");
            Console.WriteLine($"  ./gongzhi admin places shapes {folder}/places.geojson --crs WGS-84");
            Console.WriteLine($"  ./gongzhi admin dataset create {folder}/air-quality.json");
            Console.WriteLine($"  ./gongzhi import {folder}/air-quality.csv --dataset air-quality --wait");
        }
    }

    /// <summary>places.csv, places.geojson, and for each dataset ID.json (its definition) and ID.csv (its rows). The owner is left out: it is the unit of whoever creates it.</summary>
    private static async Task<List<string>> WriteFilesAsync(string folder, bool json, CancellationToken cancel)
    {
        var city = City.Generate();
        Directory.CreateDirectory(folder);
        var written = new List<string>();
        await TerminalProgress.CountAsync(Say.In("Files", "文件"), city.Datasets.Count + 1, json, async done =>
        {
            var places = new StringBuilder("code,name,nameEn,lon,lat,crs\n");
            foreach (var place in city.Places)
                places.Append(CultureInfo.InvariantCulture, $"{place.Code},{place.NameZh},{Quoted(place.NameEn)},{place.Centre.Longitude},{place.Centre.Latitude},WGS-84\n");
            await File.WriteAllTextAsync(Kept("places.csv"), places.ToString(), cancel).ConfigureAwait(false);
            var drawn = new System.Buffers.ArrayBufferWriter<byte>();
            GeoJson.Write(drawn, city.Places.Where(p => p.Ring.Count > 0));
            await File.WriteAllBytesAsync(Kept("places.geojson"), drawn.WrittenMemory.ToArray(), cancel).ConfigureAwait(false);
            done(1);
            foreach (var dataset in city.Datasets)
            {
                var definition = JsonNode.Parse(dataset.TableSchemaJson)!.AsObject();
                definition.Remove("owner");
                await File.WriteAllTextAsync(Kept(dataset.Id + ".json"), definition.ToJsonString(Readable) + "\n", cancel).ConfigureAwait(false);
                var rows = new FileStream(Kept(dataset.Id + ".csv"), FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16, useAsync: true);
                await using (rows.ConfigureAwait(false))
                    await dataset.WriteCsvAsync(rows, cancel).ConfigureAwait(false);
                done(1);
            }
        }).ConfigureAwait(false);
        return written;

        string Kept(string name)
        {
            written.Add(name);
            return Path.Combine(folder, name);
        }
    }

    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static string Quoted(string text) => text.AsSpan().IndexOfAny(",\"\r\n") < 0 ? text : '"' + text.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';
}
