using System.Buffers.Text;
using System.Text;

namespace Gongzhi.SampleCity;

/// <summary>
/// Writes any number of card payments as fast as they can be formatted, for benchmarks: about 86 bytes a row in seven columns. Places are
/// communities of the default city; merchants are 20,000 made-up names, half Chinese and half English, a few of them very busy.
/// </summary>
public static class PaymentsGenerator
{
    public const int MerchantCount = 20_000;
    private const int BufferBytes = 1 << 20;

    // id 10, card 16, merchant at most 40, category 2, amount 12, time 25, place 12, seven separators: well below this.
    private const int RowBytesMax = 256;
    private const int AmountCount = 65_536;
    private const int SecondsInYear = 365 * 86_400;

    private static readonly string[] ChineseTrades = ["茶舍", "书店", "面馆", "超市", "药房", "花店", "旅社", "文印", "五金", "烘焙"];
    private static readonly string[] EnglishTrades = ["Tea", "Books", "Cafe", "Mart", "Inn", "Taxi", "Print", "Tools", "Bakes", "Pens"];
    private const string ChineseCharacters = "云川禾原野舟帆桥屿石林泉雨星月山田木谷风光达通源丰泰祥兴安宁悦康";
    private static readonly string[] EnglishStarts = ["Al", "Be", "Cor", "Da", "El", "Fen", "Gar", "Ha", "Is", "Jun", "Kel", "Lo", "Mar", "No", "Or", "Pel", "Ro", "Sel", "Tam", "Wil"];
    private static readonly string[] EnglishMiddles = ["a", "be", "da", "e", "i", "lo", "ma", "ne", "o", "ra"];
    private static readonly string[] EnglishEnds = ["by", "den", "fox", "ley", "ton"];

    /// <summary>The twelve categories.</summary>
    public static SampleCodeList CategoryCodes { get; } = new("merchant-category", new("Merchant category", "商户类别"),
    [
        new("ME", new("Meals", "餐饮")), new("LO", new("Lodging", "住宿")), new("TR", new("Transport", "交通")), new("OF", new("Office supplies", "办公用品")),
        new("BK", new("Books", "图书")), new("MD", new("Medicine", "医药")), new("FU", new("Fuel", "燃料")), new("PR", new("Printing", "印刷")),
        new("RE", new("Repair", "维修")), new("TE", new("Telecom", "通信")), new("TN", new("Training", "培训")), new("OT", new("Other", "其他")),
    ]);

    /// <summary>Definition of the dataset; its rows come from <see cref="WriteCsv"/>.</summary>
    public static SampleDataset Dataset { get; } = new()
    {
        Id = "payments",
        Title = new("Payments", "支付流水"),
        Description = new("Synthetic card payments for benchmarks.", "用于性能测试的合成支付流水。"),
        Owner = "city-finance",
        Sharing = "conditional",
        Opening = "closed",
        Time = "paid_at",
        Place = "place",
        PrimaryKey = ["id"],
        Fields =
        [
            new("id", "sequence-number") { Unique = true, Minimum = 1 }, new("card", "card-number") { Pattern = "^9901[0-9]{12}$" },
            new("merchant", "merchant") { MaxLength = 60 }, new("category", "merchant-category"),
            new("amount", "payment-amount") { Scale = 2, Minimum = 0 }, new("paid_at", "paid-time"), new("place", "community"),
        ],
    };

    /// <summary>The body of <c>PUT /api/v1/datasets/{id}</c>.</summary>
    public static string TableSchemaJson => Dataset.TableSchemaJson;

    /// <summary>
    /// Writes a header and the rows, ids from 1, in the order of time over 2025. UTF-8, line feeds; the same bytes for the same rows and seed.
    /// Writes synchronously in pieces of about 1 MB and does not flush or close.
    /// </summary>
    public static void WriteCsv(Stream destination, int rows, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(destination);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        var random = new SampleRandom(seed, RandomStream.Payments);
        var merchants = Merchants(random);
        var amounts = new int[AmountCount];
        for (var i = 0; i < AmountCount; i++)
            amounts[i] = (int)(random.TenDoublings() * 300) + random.Below(100);
        byte[][] places = [.. City.Generate().PlacesAt(PlaceLevel.Community).Select(place => Encoding.ASCII.GetBytes(place.Code))];
        byte[][] categories = [.. CategoryCodes.Codes.Select(code => Encoding.ASCII.GetBytes(code.Code))];
        var (day, dayText) = (-1, new byte[10]);

        var buffer = new byte[BufferBytes];
        var used = Put(buffer, 0, "id,card,merchant,category,amount,paid_at,place\n"u8);
        for (var i = 0; i < rows; i++)
        {
            if (used > BufferBytes - RowBytesMax)
            {
                destination.Write(buffer, 0, used);
                used = 0;
            }
            var (bits, more) = (random.Next(), random.Next());
            Utf8Formatter.TryFormat(i + 1, buffer.AsSpan(used), out var written);
            used = Put(buffer, used + written, ",9901"u8);

            // 100,000 cards; the last digits follow from the first so that a card always looks the same.
            var card = (int)((bits & 0xFFFFFFFF) * 100_000 >> 32);
            used = Digits(buffer, used, card, 6);
            used = Digits(buffer, used, card * 7_919L % 1_000_000, 6);
            buffer[used++] = (byte)',';
            var merchant = (int)(((bits >> 32 & 0xFFFF) * (bits >> 48) >> 16) * MerchantCount >> 16);
            used = Put(buffer, used, merchants[merchant]);
            buffer[used++] = (byte)',';
            used = Put(buffer, used, categories[merchant % categories.Length]);
            buffer[used++] = (byte)',';
            var fen = amounts[more & (AmountCount - 1)];
            Utf8Formatter.TryFormat(fen / 100, buffer.AsSpan(used), out written);
            used += written;
            buffer[used++] = (byte)'.';
            used = Digits(buffer, used, fen % 100, 2);
            buffer[used++] = (byte)',';

            var second = (int)((long)i * SecondsInYear / rows);
            if (second / 86_400 != day)
            {
                day = second / 86_400;
                var date = new DateOnly(2025, 1, 1).AddDays(day);
                Digits(dayText, 0, date.Year, 4);
                dayText[4] = dayText[7] = (byte)'-';
                Digits(dayText, 5, date.Month, 2);
                Digits(dayText, 8, date.Day, 2);
            }
            used = Put(buffer, used, dayText);
            // The shops are open from 06:00 to midnight: the day's seconds are squeezed into its last three quarters.
            var clock = 21_600 + second % 86_400 * 3 / 4;
            buffer[used++] = (byte)'T';
            used = Digits(buffer, used, clock / 3600, 2);
            buffer[used++] = (byte)':';
            used = Digits(buffer, used, clock / 60 % 60, 2);
            buffer[used++] = (byte)':';
            used = Digits(buffer, used, clock % 60, 2);
            used = Put(buffer, used, "+08:00,"u8);
            used = Put(buffer, used, places[(int)((more >> 32) * (ulong)places.Length >> 32)]);
            buffer[used++] = (byte)'\n';
        }
        destination.Write(buffer, 0, used);
    }

    private static int Put(byte[] buffer, int at, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(buffer.AsSpan(at));
        return at + bytes.Length;
    }

    private static int Digits(byte[] buffer, int at, long value, int count)
    {
        for (var i = count - 1; i >= 0; i--)
        {
            buffer[at + i] = (byte)('0' + value % 10);
            value /= 10;
        }
        return at + count;
    }

    private static byte[][] Merchants(SampleRandom random)
    {
        var names = new string[MerchantCount];
        var next = 0;
        foreach (var first in ChineseCharacters)
        {
            foreach (var second in ChineseCharacters)
            {
                for (var trade = 0; trade < ChineseTrades.Length && next < MerchantCount / 2; trade++)
                    names[next++] = $"{first}{second}{ChineseTrades[trade]}";
            }
        }
        foreach (var start in EnglishStarts)
        {
            foreach (var middle in EnglishMiddles)
            {
                foreach (var end in EnglishEnds)
                {
                    foreach (var trade in EnglishTrades)
                        names[next++] = $"{start}{middle}{end} {trade}";
                }
            }
        }
        random.Shuffle(names);
        return [.. names.Select(Encoding.UTF8.GetBytes)];
    }
}
