using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json;
using Gongzhi.Node.Cli;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>Whole files as the world made them, by both doors: HTTP and the command line.</summary>
[Collection("Journeys")]
public sealed class RealDataTests
{
    public static TheoryData<string, long, string> Files => new()
    {
        {
            "city/admin_china/streets.csv", 41_352,
            """[{"name":"code","type":"string"},{"name":"name","type":"string"},{"name":"areaCode","type":"string"},{"name":"provinceCode","type":"string"},{"name":"cityCode","type":"string"}]"""
        },
        {
            "aml/benford/corporate.payment.csv", 189_470,
            """[{"name":"VendorNum","type":"string"},{"name":"Date","type":"date"},{"name":"InvNum","type":"string"},{"name":"Amount","type":"number","scale":2}]"""
        },
        {
            "mobility/skmob/geolife_sample.txt.gz", 217_653,
            """[{"name":"lat","type":"number"},{"name":"lng","type":"number"},{"name":"datetime","type":"datetime"},{"name":"uid","type":"string"}]"""
        },
    };

    [Theory, MemberData(nameof(Files))]
    public async Task A_file_goes_in_whole_by_both_doors_and_a_hundred_random_rows_of_each_are_proven(string file, long rows, string fields)
    {
        if (Environment.GetEnvironmentVariable("GONGZHI_TESTDATA") is not { Length: > 0 } root)
        {
            Assert.Skip("set GONGZHI_TESTDATA");
            return;
        }
        var path = Path.Combine(root, file);
        await using var journey = await Journey.StartAsync();
        using var schema = JsonDocument.Parse("""{"title":{"en":"Real"},"owner":"node","timeZone":"Etc/UTC","schema":{"fields":""" + fields + "}}");
        var names = schema.RootElement.GetProperty("schema").GetProperty("fields").EnumerateArray().Select(f => f.GetProperty("name").GetString()!).ToArray();
        var lines = await LinesAsync(path);
        Assert.Equal(rows + 1, lines.Length);
        foreach (var door in new[] { "http", "command-line" })
        {
            await journey.DefineAsync(door, schema.RootElement);
            var receipt = door == "http"
                ? await journey.ContributeAsync(door, await File.ReadAllBytesAsync(path), Journey.CsvType, rows)
                : await ImportAsync(journey, path, door);
            Assert.Equal((rows, 0), (receipt.GetProperty("accepted").GetInt64(), receipt.GetProperty("rejected").GetInt64()));
            await journey.VerifyReceiptAsync(receipt);
            var proofs = await journey.ProofsAsync(receipt);
            await journey.VerifyAsync(proofs);
            foreach (var (row, proof) in proofs)
            {
                // What was committed is what stood in the file's line, up to how a type is written.
                var text = Encoding.UTF8.GetString(JsonDocument.Parse(proof).RootElement.GetProperty("row").GetProperty("bytes").GetBytesFromBase64());
                foreach (var (name, cell) in names.Zip(lines[row + 1].Split(',')).Where(c => c.First is "code" or "name" or "areaCode" or "InvNum" or "VendorNum" or "uid"))
                    Assert.True(text.Contains(cell.Trim('"'), StringComparison.Ordinal), $"row {row}, {name}: {cell}");
            }
            await journey.GrantAsync(door, "client:" + TestNode.Client, names.ToDictionary(n => n, _ => "plain"));
            var (status, answer) = await Journey.QueryAsync(journey.Http, new { dataset = door, purpose = "check", measures = new[] { new { name = "n", function = "count" } } }, "text/csv");
            Assert.Equal((HttpStatusCode.OK, "n\r\n" + rows.ToString(CultureInfo.InvariantCulture) + "\r\n"), (status, answer));
        }
        var (exit, output) = await journey.VerifyLogAsync(Shared.TestStore.LogDirectory(journey.World));
        Assert.True(exit == 0, output);
    }

    /// <summary>The command line as the shell runs it, but for the process; what it prints is the receipt.</summary>
    private static async Task<JsonElement> ImportAsync(Journey journey, string path, string dataset)
    {
        var (console, output) = (Console.Out, new StringWriter(CultureInfo.InvariantCulture));
        await using (output)
        {
            Console.SetOut(output);
            int exit;
            try
            {
                exit = await GongzhiCommand.Create().Parse(["import", path, "--dataset", dataset, "--wait", "--json", "--type", Journey.CsvType,
                    "--url", journey.Node.Address.ToString(), "--client", $"{TestNode.Client}:{TestNode.Secret}"]).InvokeAsync();
            }
            finally
            {
                Console.SetOut(console);
            }
            Assert.True(exit == ExitCode.Ok, output.ToString());
            var printed = output.ToString();
            return JsonDocument.Parse(printed[printed.IndexOf('{', StringComparison.Ordinal)..]).RootElement;
        }
    }

    private static async Task<string[]> LinesAsync(string path)
    {
        await using var file = File.OpenRead(path);
        await using Stream stream = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(stream);
        return (await reader.ReadToEndAsync()).TrimEnd('\r', '\n').Split('\n').Select(l => l.TrimEnd('\r')).ToArray();
    }
}
