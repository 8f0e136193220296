// The control of the norm unit: pass 1 over the tile's chunks as they come, pass 2 when the last row's root is
// stored: norm_step.control_step. Rows leave either pipeline in the order in which they entered it, so that a
// counter at each place knows whose turn it is.
module norm_control #(
    parameter int LATENCY = 12   // of either pass
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        valid,          // a chunk of the tile
    input  logic [15:0] rows,           // of the tile
    input  logic [13:0] chunks,         // of a row
    output logic        write,          // stage 1's words to the vector buffer
    output logic [15:0] write_address,
    output logic        gather,         // stage 3's sums over the lanes into the row's
    output logic        fresh,          // which begin
    output logic        look,           // stage 7's mantissa in the table
    output logic        store,          // the last stage's root, of this row
    output logic [15:0] store_row,
    output logic        read,           // a chunk and its row's values for pass 2
    output logic [15:0] read_address,
    output logic [15:0] read_row,
    output logic        fetch,          // gamma and beta for stage 8
    output logic [13:0] fetch_address,
    output logic        done            // sums are there
);
  logic second;                         // pass 2
  logic [13:0] chunk, factor;
  logic [15:0] row, address, place, written;
  logic entered[3];
  logic first[3];
  logic last[LATENCY];
  logic issued[LATENCY];

  logic entering, moving, row_ends, tile_ends, stored_all;
  logic [14:0] next_chunk, next_factor;
  logic [16:0] next_row, next_written;
  assign entering     = valid & ~second;
  assign moving       = entering | second;
  assign next_chunk   = 15'(chunk) + 15'd1;
  assign next_factor  = 15'(factor) + 15'd1;
  assign next_row     = 17'(row) + 17'd1;
  assign next_written = 17'(written) + 17'd1;
  assign row_ends     = next_chunk == 15'(chunks);
  assign tile_ends    = row_ends && next_row == 17'(rows);
  assign stored_all   = store && next_written == 17'(rows);

  always_ff @(posedge clk) begin
    place <= address;
    if (rst) begin
      second  <= 1'b0;
      chunk   <= '0;
      row     <= '0;
      address <= '0;
      written <= '0;
      factor  <= '0;
    end else begin
      second <= second ? ~tile_ends : stored_all;
      if (moving) begin
        chunk   <= row_ends ? '0 : next_chunk[13:0];
        address <= tile_ends ? '0 : address + 16'd1;
        if (row_ends) row <= tile_ends ? '0 : next_row[15:0];
      end
      if (store) written <= stored_all ? '0 : next_written[15:0];
      if (fetch) factor <= next_factor == 15'(chunks) ? '0 : next_factor[13:0];
    end
  end

  for (genvar i = 0; i < 3; i++) begin : enter
    always_ff @(posedge clk) begin
      entered[i] <= ~rst & (i == 0 ? entering : entered[i==0?0:i-1]);
      first[i]   <= ~rst & (i == 0 ? chunk == 0 : first[i==0?0:i-1]);
    end
  end
  for (genvar i = 0; i < LATENCY; i++) begin : stage
    always_ff @(posedge clk) begin
      last[i]   <= ~rst & (i == 0 ? entering & row_ends : last[i==0?0:i-1]);
      issued[i] <= ~rst & (i == 0 ? second : issued[i==0?0:i-1]);
    end
  end

  assign write         = entered[0];
  assign write_address = place;
  assign gather        = entered[2];
  assign fresh         = first[2];
  assign look          = last[6];
  assign store         = last[LATENCY-1];
  assign store_row     = written;
  assign read          = second;
  assign read_address  = address;
  assign read_row      = row;
  assign fetch         = issued[5];
  assign fetch_address = factor;
  assign done          = issued[LATENCY-1];
endmodule
