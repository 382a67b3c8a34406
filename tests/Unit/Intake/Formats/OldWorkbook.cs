using System.Text;

namespace Gongzhi.Tests.Unit.Intake.Formats;

/// <summary>The least that is an .xls: a compound file ([MS-CFB]) with one stream of BIFF8 records ([MS-XLS]). Format 1 is a date, 2 a date with time.</summary>
internal sealed class OldWorkbook(bool date1904)
{
    private const int Sector = 512;
    private const uint EndOfChain = 0xFFFFFFFE, Free = 0xFFFFFFFF, FatSector = 0xFFFFFFFD;
    private readonly MemoryStream _cells = new();
    private int _rows;
    private int _columns;

    /// <summary>Text, numbers, or numbers with a format.</summary>
    public void Row(params object[] cells)
    {
        for (var c = 0; c < cells.Length; c++)
        {
            var at = new BinaryWriter(new MemoryStream());
            at.Write((ushort)_rows);
            at.Write((ushort)c);
            var (value, format) = cells[c] is (double number, int style) ? (number, style) : (cells[c], 0);
            at.Write((ushort)format);
            if (value is string text)
            {
                at.Write((ushort)text.Length);
                // One flag: characters of two bytes.
                at.Write((byte)1);
                at.Write(Encoding.Unicode.GetBytes(text));
            }
            else
            {
                at.Write((double)value);
            }
            Record(_cells, value is string ? 0x0204 : 0x0203, ((MemoryStream)at.BaseStream).ToArray());
        }
        _rows++;
        _columns = Math.Max(_columns, cells.Length);
    }

    public byte[] ToArray()
    {
        var globals = new MemoryStream();
        Record(globals, 0x0809, [0x00, 0x06, 0x05, 0x00, .. new byte[12]]);
        Record(globals, 0x0042, [0xB0, 0x04]);
        Record(globals, 0x0022, [(byte)(date1904 ? 1 : 0), 0]);
        foreach (var format in (ReadOnlySpan<byte>)[0, 14, 22]) Record(globals, 0x00E0, [0, 0, format, 0, .. new byte[16]]);
        // The name "One" in single bytes; the sheet begins behind this record and the next.
        var sheetAt = (int)globals.Length + 4 + 11 + 4;
        Record(globals, 0x0085, [.. BitConverter.GetBytes(sheetAt), 0, 0, 3, 0, (byte)'O', (byte)'n', (byte)'e']);
        Record(globals, 0x000A, []);
        Record(globals, 0x0809, [0x00, 0x06, 0x10, 0x00, .. new byte[12]]);
        Record(globals, 0x0200, [0, 0, 0, 0, .. BitConverter.GetBytes(_rows), 0, 0, .. BitConverter.GetBytes((ushort)_columns), 0, 0]);
        globals.Write(_cells.ToArray());
        Record(globals, 0x000A, []);
        // Streams below 4,096 bytes would go to another place.
        return Compound([.. globals.ToArray(), .. new byte[Math.Max(0, 4_096 - (int)globals.Length)]]);
    }

    private static void Record(Stream to, int type, byte[] content)
    {
        to.Write([(byte)type, (byte)(type >> 8), (byte)content.Length, (byte)(content.Length >> 8)]);
        to.Write(content);
    }

    /// <summary>Sector 0 is the table of chains, 1 the directory, and from 2 on the one stream.</summary>
    private static byte[] Compound(byte[] stream)
    {
        var sectors = (stream.Length + Sector - 1) / Sector;
        if (sectors > (Sector / 4) - 2) throw new InvalidOperationException("One sector of chains is all there is.");
        var file = new BinaryWriter(new MemoryStream());
        file.Write([0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1, .. new byte[16], 0x3E, 0, 0x03, 0, 0xFE, 0xFF, 9, 0, 6, 0, .. new byte[6]]);
        foreach (var value in (ReadOnlySpan<uint>)[0, 1, 1, 0, 4_096, EndOfChain, 0, EndOfChain, 0, 0]) file.Write(value);
        for (var i = 1; i < 109; i++) file.Write(Free);

        file.Write(FatSector);
        file.Write(EndOfChain);
        for (var i = 0; i < (Sector / 4) - 2; i++) file.Write(i < sectors - 1 ? (uint)(i + 3) : i == sectors - 1 ? EndOfChain : Free);

        Entry(file, "Root Entry", type: 5, child: 1, start: EndOfChain, size: 0);
        Entry(file, "Workbook", type: 2, child: Free, start: 2, size: (uint)stream.Length);
        Entry(file, "", type: 0, child: Free, start: 0, size: 0);
        Entry(file, "", type: 0, child: Free, start: 0, size: 0);

        file.Write(stream);
        file.Write(new byte[(sectors * Sector) - stream.Length]);
        return ((MemoryStream)file.BaseStream).ToArray();
    }

    private static void Entry(BinaryWriter file, string name, byte type, uint child, uint start, uint size)
    {
        var text = new byte[64];
        Encoding.Unicode.GetBytes(name).CopyTo(text, 0);
        file.Write(text);
        file.Write((ushort)(name.Length == 0 ? 0 : (name.Length + 1) * 2));
        file.Write(type);
        // Black, so that the tree of one is balanced.
        file.Write((byte)1);
        file.Write(Free);
        file.Write(Free);
        file.Write(child);
        file.Write(new byte[36]);
        file.Write(start);
        file.Write((ulong)size);
    }
}
